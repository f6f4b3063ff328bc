// The application of web_express.rs on the npm package express: `node app.cjs REQUESTS`. Answers each with a line of JSON.
"use strict";
const http = require("node:http");
const { once } = require("node:events");
const express = require("express");

const app = express();
app.set("case sensitive routing", true).set("env", "test").disable("x-powered-by").disable("etag");
const says = (text) => (_req, res) => res.send(text);
const pass = (_req, _res, next) => next();

app.use((req, res, next) => {
  res.set("x-seen", "app");
  next();
});
app.use("/private", (_req, res) => res.status(401).send("who are you"));
app.all("/guarded/*path", (req, res, next) => (req.query.key === "sesame" ? next() : res.status(401).send("who are you")));
app.get("/guarded/:what", (req, res) => res.send(`guarded ${req.params.what}`));
app.post("/login", says("logged in"));
app.get("/users/me", says("me"));
app.put("/users/me", says("put"));
app.get("/users/:id", (req, res) => res.send(`user ${req.params.id}`));
app.delete("/users/:id", (req, res) => res.status(204).end());
app.all("/chain", pass);
app.get("/chain", pass, (req, res, next) => {
  res.set("x-seen", "chain");
  next();
});
app.get("/chain", says("end of the chain"));
app.post("/passed", pass);
app.get("/go", (_req, res) => res.redirect("/there?a=b"));
app.get("/query", (req, res) => res.send(`${req.query.a} ${req.query.b}`));
app.post("/json", express.json({ limit: 1000 }), (req, res) => res.json(req.body));
app.post("/form", express.urlencoded({ extended: false }), (req, res) => res.send(`${req.body.a} ${req.body.b}`));

const posts = express.Router({ mergeParams: true, caseSensitive: true });
posts.use((req, res, next) => {
  res.set("x-seen", `posts at ${req.baseUrl}`);
  next();
});
posts.get("/", says("all posts"));
posts.get("/:post", (req, res) => res.send(`post ${req.params.post} of ${req.params.user} at ${req.path}`));
posts.get("/:post/fails", () => {
  throw new Error("of the router");
});
posts.use((error, _req, _res, next) => next(new Error(`${error.message}, once more`)));
app.use("/by/:user/posts", posts);

app.get("/fails", async () => {
  throw new Error("of a handler");
});
app.get("/resumes", (_req, _res, next) => next(new Error("resume")));
app.use((error, _req, _res, next) => (error.message === "resume" ? next() : next(error)));
app.get("/resumes", says("resumed"));
app.get("/page/*path", (req, res) => res.send(`page ${req.params.path.join("/")}`));
app.get("/:page", (req, res) => res.send(`a page ${req.params.page}`));
app.use((error, _req, res, _next) => res.status(error.status ?? 500).send(error.status ? "refused" : `caught: ${error.message}`));

async function ask(port, { method, path, fields, body }) {
  const request = http.request({ port, method, path, headers: fields });
  request.end(body);
  const [response] = await once(request, "response");
  let text = "";
  for await (const piece of response.setEncoding("utf8")) text += piece;
  const { location = "", "x-seen": seen = "" } = response.headers;
  return { status: response.statusCode, location, seen, text: response.statusCode < 400 || /^(who|caught|refused)/.test(text) ? text : "" };
}

const server = http.createServer(app).listen(0, "127.0.0.1", async () => {
  for (const request of JSON.parse(process.argv[2])) console.log(JSON.stringify(await ask(server.address().port, request)));
  server.close();
});
