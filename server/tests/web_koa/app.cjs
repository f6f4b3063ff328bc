// The application of web_koa.rs on the npm package koa: `node app.cjs PATHS`. Answers each with a line of JSON.
"use strict";
const http = require("node:http");
const { once } = require("node:events");
const Koa = require("koa");

const app = new Koa();
app.on("error", () => {});
app.use(async (ctx, next) => {
  await next();
  ctx.set("x-seen", "after");
});
app.use(async (ctx) => {
  const [, what, status] = ctx.path.split("/");
  if (what === "throw") ctx.throw(Number(status), "of the handler");
  if (what === "fail") throw new Error("of the handler");
  if (what === "body") ctx.body = "a body";
});

async function ask(port, path) {
  const request = http.get({ port, path });
  const [response] = await once(request, "response");
  let text = "";
  for await (const piece of response.setEncoding("utf8")) text += piece;
  const { "content-type": type, "x-seen": seen = "" } = response.headers;
  return { status: response.statusCode, type, seen, text };
}

const server = http.createServer(app.callback()).listen(0, "127.0.0.1", async () => {
  for (const path of JSON.parse(process.argv[2])) console.log(JSON.stringify(await ask(server.address().port, path)));
  server.close();
});
