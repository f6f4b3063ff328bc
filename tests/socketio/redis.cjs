// Servers that share rooms through Redis, ours and Node's: `node redis.cjs REDIS_URL OUR_PORT OUR_OTHER_PORT`.
// Says `ok` or `FAILED` for each check. On `KILL` the test ends Redis, and starts it again on `RESTART`; it answers each with a line.
"use strict";
const { createServer } = require("http");
const readline = require("readline");
const { Server } = require("socket.io");
const { createAdapter } = require("@socket.io/redis-adapter");
const { createClient } = require("redis");
const { io: connect } = require("socket.io-client");

const [redisUrl, ...ports] = process.argv.slice(2);
let checks = 0;
let failures = 0;

function same(name, found, wanted) {
  checks += 1;
  const [left, right] = [JSON.stringify(found), JSON.stringify(wanted)];
  if (left !== right) failures += 1;
  console.log(left === right ? `ok ${name}` : `FAILED ${name}: ${left} is not ${right}`);
}

const once = (socket, event) => new Promise((resolve) => socket.once(event, (...args) => resolve(args)));
const sorted = (list) => [...list].sort();
const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const order = async (what) => {
  console.log(what);
  await lines.next();
};

// --- the servers, by one interface ------------------------------------------------------------------------------------

// Node's own.
async function nodeServer() {
  const pub = createClient({ url: redisUrl, socket: { reconnectStrategy: () => 20 } });
  const sub = pub.duplicate();
  for (const client of [pub, sub]) client.on("error", () => {});
  await Promise.all([pub.connect(), sub.connect()]);
  const http = createServer();
  const io = new Server(http, { adapter: createAdapter(pub, sub, { requestsTimeout: 500 }) });
  const serve = (namespace) => {
    namespace.on("connection", (socket) => {
      socket.on("join", (room, ack) => (socket.join(room), ack()));
      socket.on("note", (value, ack) => ((socket.data.note = value), ack()));
    });
    namespace.heard = [];
    namespace.on("hello", (...args) => {
      const ack = typeof args.at(-1) === "function" ? args.pop() : null;
      namespace.heard.push(args);
      if (ack) ack(`node heard ${args}`);
    });
  };
  serve(io.of("/"));
  serve(io.of("/chat"));
  await new Promise((resolve) => http.listen(0, resolve));
  const to = (name, { to = [], except = [], volatile, local, compress, timeout } = {}) => {
    let operator = io.of(name);
    if (to.length) operator = operator.to(to);
    if (except.length) operator = operator.except(except);
    if (volatile) operator = operator.volatile;
    if (local) operator = operator.local;
    if (compress === false) operator = operator.compress(false);
    if (timeout) operator = operator.timeout(timeout);
    return operator === io.of(name) ? io.of(name).except([]) : operator;
  };
  return {
    title: "node",
    url: `http://localhost:${http.address().port}`,
    emit: async (name, whom, event, ...args) => to(name, whom).emit(event, ...args),
    ask: (name, whom, event, ...args) =>
      new Promise((resolve) => to(name, whom).emit(event, ...args, (error, answers) => resolve([Boolean(error), answers]))),
    fetch: (name, whom) =>
      to(name, whom).fetchSockets().then(
        (all) => all.map(({ id, rooms, data, handshake }) => ({ id, rooms: [...rooms], data, auth: handshake.auth })),
        (error) => ({ error: String(error) })
      ),
    join: async (name, whom, room) => to(name, whom).socketsJoin(room),
    leave: async (name, whom, room) => to(name, whom).socketsLeave(room),
    disconnect: async (name, whom, close) => to(name, whom).disconnectSockets(close),
    say: async (name, ...args) => io.of(name).serverSideEmit("hello", ...args),
    query: (name, ...args) =>
      new Promise((resolve) => io.of(name).serverSideEmit("hello", ...args, (error, answers) => resolve([Boolean(error), answers]))),
    heard: async (name) => io.of(name).heard.splice(0),
    count: (name) => io.of(name).adapter.serverCount(),
    rooms: async (name) => [...(await io.of(name).adapter.allRooms())],
    close: () => {
      io.close();
      for (const client of [pub, sub]) client.destroy();
    },
  };
}

// Ours: it does what a client of another path of it says.
async function ourServer(title, port) {
  const url = `http://localhost:${port}`;
  const control = connect(url, { path: "/control/", transports: ["websocket"] });
  await once(control, "connect");
  const say = (...args) => new Promise((resolve) => control.emit("do", ...args, (...answer) => resolve(answer)));
  const one = async (...args) => (await say(...args))[0];
  return {
    title,
    url,
    emit: (name, whom, ...args) => say("emit", name, whom, ...args),
    ask: async (name, whom, ...args) => {
      const [failed, ...answers] = await say("ask", name, whom, ...args);
      return [failed, answers];
    },
    fetch: (name, whom) => one("fetch", name, whom),
    join: (name, whom, room) => say("join", name, whom, room),
    leave: (name, whom, room) => say("leave", name, whom, room),
    disconnect: (name, whom, close) => say("disconnect", name, whom, close),
    say: (name, ...args) => say("say", name, {}, ...args),
    query: (name, ...args) => say("query", name, {}, ...args),
    heard: (name) => one("heard", name, {}),
    count: (name) => one("count", name, {}),
    rooms: (name) => one("rooms", name, {}),
    close: () => control.disconnect(),
  };
}

// --- clients ----------------------------------------------------------------------------------------------------------

const open = async (server, { name = "/", auth } = {}) => {
  const socket = connect(server.url + name, { forceNew: true, reconnection: false, auth });
  socket.heard = [];
  socket.onAny((event, ...args) => event !== "fence" && socket.heard.push([event, ...args]));
  await once(socket, "connect");
  return socket;
};
const ask = (socket, event, ...args) => new Promise((resolve) => socket.emit(event, ...args, resolve));

let fences = 0;
// What `server` said before this has come to these sockets as well, since it came by the same way.
async function fence(server, name, ...sockets) {
  const number = (fences += 1);
  const passed = sockets.map(
    (socket) => new Promise((resolve) => socket.on("fence", function passes(found) {
      if (found === number) (socket.off("fence", passes), resolve());
    }))
  );
  await server.emit(name, {}, "fence", number);
  await Promise.all(passed);
  return sockets.map((socket) => socket.heard.splice(0));
}

const drop = (...sockets) => sockets.forEach((socket) => socket.disconnect());

// --- the checks: `a` acts, and clients of both hear it ----------------------------------------------------------------

async function broadcasts(way, a, b) {
  const [near, far, other] = [await open(a), await open(b), await open(b)];
  const apart = await open(b, { name: "/chat" });
  await Promise.all([ask(near, "join", "red"), ask(far, "join", "red"), ask(other, "join", "blue")]);
  const all = [near, far, other];
  const heard = () => fence(a, "/", ...all);

  await a.emit("/", {}, "all", 1, "two", { three: [3, null, true, 1.5, -7] });
  const everything = [["all", 1, "two", { three: [3, null, true, 1.5, -7] }]];
  same(`${way}: to all`, await heard(), [everything, everything, everything]);
  await a.emit("/", { to: ["red"] }, "room");
  same(`${way}: to a room`, await heard(), [[["room"]], [["room"]], []]);
  await a.emit("/", { to: ["red", "blue"] }, "rooms");
  same(`${way}: to two rooms, once each`, await heard(), [[["rooms"]], [["rooms"]], [["rooms"]]]);
  await a.emit("/", { except: ["red"] }, "except");
  same(`${way}: to all but a room`, await heard(), [[], [], [["except"]]]);
  await a.emit("/", { to: ["red", "blue"], except: [far.id] }, "but one");
  same(`${way}: to rooms but one`, await heard(), [[["but one"]], [], [["but one"]]]);
  await a.emit("/", { to: [far.id] }, "you");
  same(`${way}: to a socket's own room`, await heard(), [[], [["you"]], []]);
  await a.emit("/", { to: ["nobody"] }, "nobody");
  same(`${way}: to a room that is empty`, await heard(), [[], [], []]);
  await a.emit("/", { local: true }, "local");
  same(`${way}: to its own alone`, await heard(), [[["local"]], [], []]);
  await a.emit("/", { volatile: true, compress: false }, "flags");
  same(`${way}: volatile and not compressed`, await heard(), [[["flags"]], [["flags"]], [["flags"]]]);
  const bytes = Buffer.from([0, 1, 2, 253, 254, 255]);
  await a.emit("/", { to: ["red"] }, "bytes", bytes, { deep: [bytes, "text"] });
  const [, [[event, first, second]]] = await heard();
  same(`${way}: bytes`, [event, [...first], [...second.deep[0]], second.deep[1]], ["bytes", [...bytes], [...bytes], "text"]);
  const long = "\u00e4".repeat(200_000);
  await a.emit("/", {}, "long", long);
  same(`${way}: a long text`, (await heard())[1][0][1].length, long.length);
  for (let number = 0; number < 200; number += 1) a.emit("/", {}, "order", number);
  same(`${way}: the order stays`, (await heard())[1].map(([, number]) => number), [...Array(200).keys()]);
  await a.emit("/chat", {}, "chat");
  same(`${way}: another namespace hears its own`, await fence(a, "/chat", apart), [[["chat"]]]);
  same(`${way}: and this one does not`, await heard(), [[], [], []]);
  drop(...all, apart);
}

async function sockets(way, a, b) {
  const [near, far] = [await open(a, { auth: { who: "near" } }), await open(b, { auth: { who: "far" } })];
  await Promise.all([ask(near, "join", "red"), ask(far, "join", "red"), ask(far, "join", "blue"), ask(far, "note", { x: [1] })]);
  const found = await a.fetch("/", {});
  const of = (socket) => found.find(({ id }) => id === socket.id);
  same(`${way}: sockets of both servers`, sorted(found.map(({ id }) => id)), sorted([near.id, far.id]));
  same(`${way}: their rooms`, sorted(of(far).rooms), sorted([far.id, "red", "blue"]));
  same(`${way}: their data`, of(far).data, { note: { x: [1] } });
  same(`${way}: what they came with`, [of(near).auth, of(far).auth], [{ who: "near" }, { who: "far" }]);
  const ids = async (whom) => (await a.fetch("/", whom)).map(({ id }) => id);
  same(`${way}: those of a room`, await ids({ to: ["blue"] }), [far.id]);
  same(`${way}: those of a room but some`, await ids({ to: ["red"], except: ["blue"] }), [near.id]);
  same(`${way}: its own alone`, await ids({ local: true }), [near.id]);
  const rooms = await a.rooms("/");
  same(`${way}: all rooms`, ["red", "blue", far.id].filter((room) => !rooms.includes(room)), []);

  await a.join("/", { to: [far.id] }, "green");
  await a.emit("/", { to: ["green"] }, "joined");
  same(`${way}: a socket joins from afar`, await fence(a, "/", near, far), [[], [["joined"]]]);
  await a.leave("/", { to: ["red"] }, "green");
  await a.emit("/", { to: ["green"] }, "left");
  same(`${way}: and leaves`, await fence(a, "/", near, far), [[], []]);
  const gone = once(far, "disconnect");
  await a.disconnect("/", { to: ["blue"] }, false);
  same(`${way}: a socket is disconnected from afar`, (await gone)[0], "io server disconnect");
  same(`${way}: one is left`, await ids({}), [near.id]);
  const both = await open(b);
  const closed = once(both, "disconnect");
  await a.disconnect("/", { to: [both.id] }, true);
  same(`${way}: with its connection`, (await closed)[0], "io server disconnect");
  drop(near, far, both);
}

async function acknowledgements(way, a, b) {
  const clients = [await open(a), await open(b), await open(b)];
  const values = [1, { two: [2] }, "three"];
  clients.forEach((client, number) => client.on("question", (value, ack) => ack(values[number], "more", value)));
  const [failed, answers] = await a.ask("/", { timeout: 20000 }, "question", "?");
  const text = (list) => sorted(list.map((value) => JSON.stringify(value)));
  same(`${way}: all acknowledge`, [failed, text(answers)], [false, text(values)]);
  clients.forEach((client) => client.off("question"));
  clients[1].on("question", (value, ack) => ack(Buffer.from([...value, 9])));
  const [late, [bytes]] = await a.ask("/", { to: [clients[1].id], timeout: 20000 }, "question", Buffer.from([7]));
  same(`${way}: with bytes both ways`, [late, [...bytes]], [false, [7, 9]]);
  const [timed, none] = await a.ask("/", { to: [clients[2].id], timeout: 100 }, "question", 0);
  same(`${way}: one that does not is missed in time`, [timed, none], [true, []]);
  const [nobody, empty] = await a.ask("/", { to: ["nobody"], timeout: 20000 }, "question", 0);
  same(`${way}: nobody has nothing to say`, [nobody, empty], [false, []]);
  drop(...clients);
}

async function servers(way, a, b, count) {
  same(`${way}: the servers are counted`, await a.count("/"), count);
  await Promise.all([a.heard("/"), b.heard("/")]);
  await a.say("/", 1, { two: "2" });
  const [failed, answers] = await a.query("/", "again");
  same(`${way}: a server answers`, [failed, answers.length, answers.some((text) => text === `${b.title} heard again`)], [false, count - 1, true]);
  same(`${way}: a server hears`, await b.heard("/"), [[1, { two: "2" }], ["again"]]);
  same(`${way}: and not itself`, await a.heard("/"), []);
  same(`${way}: nor another namespace`, await b.heard("/chat"), []);
}

// A server that died where Redis has not noticed.
async function silence(way, a, b) {
  const [near, far] = [await open(a), await open(b)];
  const dead = createClient({ url: redisUrl });
  await dead.connect();
  await dead.subscribe("socket.io-request#/#", () => {});
  const found = await a.fetch("/", {});
  same(`${way}: a server that is silent is an error`, Boolean(found.error), true);
  if (found.found) same(`${way}: with what others said`, sorted(found.found), sorted([near.id, far.id]));
  const [failed, answers] = await a.query("/", "x");
  same(`${way}: also where servers are asked`, [failed, answers.includes(`${b.title} heard x`)], [true, true]);
  near.on("question", (ack) => ack("near"));
  far.on("question", (ack) => ack("far"));
  const [late, said] = await a.ask("/", { timeout: 500 }, "question");
  same(`${way}: and where clients are`, [late, sorted(said)], [true, ["far", "near"]]);
  await dead.close();
  const again = await a.fetch("/", {});
  same(`${way}: and is over when it is gone`, again.length, 2);
  drop(near, far);
}

// Until both hear each other again, however long that takes.
async function reunited(a, b) {
  const [near, far] = [await open(a), await open(b)];
  for (const [from, hearer] of [[a, far], [b, near]]) {
    const heard = once(hearer, "back");
    let isBack = false;
    heard.then(() => (isBack = true));
    while (!isBack) {
      await from.emit("/", {}, "back");
      await Promise.race([heard, new Promise((resolve) => setTimeout(resolve, 20))]);
    }
  }
  drop(near, far);
}

async function withoutRedis(all) {
  const homes = [];
  for (const server of all) homes.push([server, await open(server), await open(server)]);
  for (const [, one] of homes) await ask(one, "join", "red");
  await order("KILL");
  for (const [server, one, two] of homes) {
    await server.emit("/", { to: ["red"] }, "alone");
    same(`${server.title} without redis: its own rooms go on`, await fence(server, "/", one, two), [[["alone"]], []]);
  }
  const [ours] = all;
  const found = await ours.fetch("/", {});
  same("without redis: the others are an error", [Boolean(found.error), found.found.length], [true, 2]);
  same("without redis: so is their number", typeof (await ours.count("/")), "string");
  await order("RESTART");
  for (const other of all.slice(1)) await reunited(ours, other);
  drop(...homes.flatMap(([, one, two]) => [one, two]));
}

async function pair(a, b, count) {
  const way = `${a.title} to ${b.title}`;
  await broadcasts(way, a, b);
  await sockets(way, a, b);
  await acknowledgements(way, a, b);
  await servers(way, a, b, count);
  await silence(way, a, b);
}

async function main() {
  const [one, two] = [await ourServer("one", ports[0]), await ourServer("two", ports[1])];
  await reunited(one, two); // both have subscribed by then
  await pair(one, two, 2);
  const node = await nodeServer();
  await reunited(one, node);
  await reunited(two, node);
  await pair(one, node, 3);
  await pair(node, one, 3);
  await withoutRedis([one, two, node]);
  await pair(one, node, 3);
  await broadcasts("node to two, after all", node, two);
  console.log(`${checks} checks, ${failures} failures`);
  [one, two, node].forEach((server) => server.close());
  process.exit(failures === 0 ? 0 : 1);
}

main().catch((error) => {
  console.log(`FAILED: ${error.stack}`);
  process.exit(1);
});
