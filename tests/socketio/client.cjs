// The official client against our server: `node client.cjs PORT`. Says `ok` or `FAILED` for each check, and how many there were.
"use strict";
const { io } = require("socket.io-client");

const url = `http://localhost:${process.argv[2]}`;
let checks = 0;
let failures = 0;

function same(name, found, wanted) {
  checks += 1;
  const [left, right] = [JSON.stringify(found), JSON.stringify(wanted)];
  if (left !== right) failures += 1;
  console.log(left === right ? `ok ${name}` : `FAILED ${name}: ${left} is not ${right}`);
}

const once = (socket, event) => new Promise((resolve) => socket.once(event, (...args) => resolve(args)));
const ask = (socket, event, ...args) =>
  new Promise((resolve) => socket.emit(event, ...args, (...answer) => resolve(answer)));
const open = async (options, namespace = "/") => {
  const socket = io(url + namespace, { forceNew: true, reconnection: false, ...options });
  await once(socket, "connect");
  return socket;
};
const hears = (socket, event) => {
  const heard = [];
  socket.on(event, (...args) => heard.push(args));
  return heard;
};
// Whatever was sent to a client before this answer has come to it too.
const settled = (...sockets) => Promise.all(sockets.map((socket) => ask(socket, "echo-ack")));

async function events(way, options) {
  const socket = await open(options);
  const id = await ask(socket, "id");
  same(`${way}: the id is the server's`, id, [socket.id]);
  same(`${way}: not recovered`, Boolean(socket.recovered), false);
  const values = [1, "2", { 3: [true, null, 1.5] }, "\u00e4\u{1f600}\u001e", [[]]];
  socket.emit("echo", ...values);
  same(`${way}: an event comes back`, await once(socket, "echo-back"), values);
  same(`${way}: an acknowledgement`, await ask(socket, "echo-ack", ...values), values);
  same(`${way}: one without values`, await ask(socket, "echo-ack"), []);
  same(`${way}: an async handler`, await ask(socket, "later", "x"), ["x"]);
  same(`${way}: an unknown event`, await ask(socket, "no such event"), ["any", "no such event"]);
  const order = hears(socket, "echo-back");
  for (let number = 0; number < 200; number += 1) socket.emit("echo", number);
  await settled(socket);
  same(`${way}: events keep their order`, order.flat(), [...Array(200).keys()]);
  const long = "x".repeat(500_000);
  same(`${way}: a long one`, (await ask(socket, "echo-ack", long))[0].length, long.length);
  socket.disconnect();
}

async function binary(way, options) {
  const socket = await open(options);
  const bytes = Buffer.from([0, 1, 2, 253, 254, 255]);
  const [value, rest] = await ask(socket, "echo-ack", { deep: [bytes, "text"] }, Buffer.alloc(0));
  same(`${way}: bytes in an acknowledgement`, [...value.deep[0]], [...bytes]);
  same(`${way}: text beside them`, value.deep[1], "text");
  same(`${way}: no bytes at all`, rest.length, 0);
  socket.emit("echo", bytes, bytes);
  same(`${way}: bytes in an event`, (await once(socket, "echo-back")).map((one) => [...one]), [[...bytes], [...bytes]]);
  const big = Buffer.alloc(300_000, 7);
  const [back] = await ask(socket, "echo-ack", big);
  same(`${way}: many bytes`, Buffer.from(back).equals(big), true);
  socket.disconnect();
}

async function rooms(way, options) {
  const all = await Promise.all([open(options), open(options), open(options)]);
  const [a, b, c] = all;
  const heard = all.map((socket) => hears(socket, "said"));
  const take = async () => {
    await settled(...all);
    return heard.map((list) => list.splice(0).flat().join());
  };
  await ask(a, "join", "one");
  await ask(b, "join", "one");
  await ask(b, "join", "two");
  await ask(c, "join", "two");
  await ask(a, "say to", "one", "hello");
  same(`${way}: to a room, not to oneself`, await take(), ["", "hello", ""]);
  await ask(a, "io to", ["one", "two"], "hello");
  same(`${way}: to two rooms, once each`, await take(), ["hello", "hello", "hello"]);
  await ask(a, "io except", "two", "hello");
  same(`${way}: to all but a room`, await take(), ["hello", "", ""]);
  await ask(a, "broadcast", "hello");
  same(`${way}: to all but oneself`, await take(), ["", "hello", "hello"]);
  await ask(a, "io emit", Buffer.from("hello"));
  same(`${way}: bytes to all`, await take(), ["hello", "hello", "hello"]);
  await ask(a, "io to", [c.id], "psst");
  same(`${way}: to one by its id`, await take(), ["", "", "psst"]);
  same(`${way}: the rooms of one`, await ask(b, "rooms"), [[b.id, "one", "two"].sort()]);
  same(`${way}: who is in a room`, (await ask(a, "fetch", "two"))[0].sort(), [b.id, c.id].sort());
  await ask(b, "leave", "one");
  await ask(a, "say to", "one", "hello");
  same(`${way}: who left hears nothing`, await take(), ["", "", ""]);
  await ask(a, "sockets leave", "two");
  same(`${way}: all were sent out`, await ask(a, "fetch", "two"), [[]]);
  c.on("question", (value, answer) => answer(value + 1));
  b.on("question", (value, answer) => answer(value + 2));
  same(`${way}: the client acknowledges`, await ask(a, "question to", c.id, 41), [[42]]);
  same(`${way}: one does not`, await ask(a, "question to", a.id, 1), [["the client did not acknowledge in time"]]);
  const gone = once(c, "disconnect");
  await ask(a, "kick", c.id);
  same(`${way}: the server disconnects`, await gone.then(([reason]) => reason), "io server disconnect");
  all.forEach((socket) => socket.disconnect());
}

async function namespaces(way, options) {
  const refused = io(`${url}/admin`, { forceNew: true, reconnection: false, ...options, auth: { token: "bad" } });
  const [error] = await once(refused, "connect_error");
  same(`${way}: middleware refuses`, [error.message, error.data], ["who are you?", { code: 7 }]);
  refused.disconnect();
  const unknown = io(`${url}/nowhere`, { forceNew: true, reconnection: false, ...options });
  same(`${way}: there is no such namespace`, (await once(unknown, "connect_error"))[0].message, "Invalid namespace");
  unknown.disconnect();
  const admin = await open({ ...options, auth: { token: "good" } }, "/admin");
  same(`${way}: middleware lets in`, await ask(admin, "name"), ["/admin", "good"]);
  const made = admin.io.socket("/made-7");
  await once(made, "connect");
  same(`${way}: a namespace made for the asking`, await ask(made, "name"), ["/made-7"]);
  made.disconnect();
  same(`${way}: the other one stays`, await ask(admin, "name"), ["/admin", "good"]);
  const [gone] = await Promise.all([once(admin, "disconnect"), admin.emit("close")]);
  same(`${way}: the connection is closed`, gone[0], "io server disconnect");
}

async function reasons(way, options) {
  const watcher = await open(options);
  const leaves = async (leave) => {
    const socket = await open(options);
    const noted = once(watcher, "left");
    await ask(watcher, "watch", socket.id);
    leave(socket);
    return (await noted)[0];
  };
  same(`${way}: the client leaves`, await leaves((socket) => socket.disconnect()), "client namespace disconnect");
  same(`${way}: its connection ends`, await leaves((socket) => socket.io.engine.close()), "transport close");
  same(`${way}: it is sent out`, await leaves((socket) => watcher.emit("kick", socket.id)), "server namespace disconnect");
  same(`${way}: it talks nonsense`, await leaves((socket) => socket.io.engine.write("9nonsense")), "forced close");
  watcher.disconnect();
}

async function recovery(way, options) {
  const [a, b] = await Promise.all([open({ ...options, path: "/recover/" }), open({ ...options, path: "/recover/" })]);
  const heard = hears(a, "said");
  await ask(a, "join", "room");
  await ask(b, "io to", ["room"], "before");
  await settled(a);
  const id = a.id;
  const gone = once(a, "disconnect");
  a.io.engine.close();
  await gone;
  await ask(b, "io to", ["room"], "missed");
  await ask(b, "io to", ["elsewhere"], "not for it");
  a.connect();
  await once(a, "connect");
  same(`${way}: recovered, with its id`, [a.recovered, a.id === id], [true, true]);
  await ask(b, "io to", ["room"], "after");
  await settled(a);
  same(`${way}: nothing is lost or doubled`, heard.map(([text]) => text), ["before", "missed", "after"]);
  same(`${way}: what was noted is still there`, await ask(a, "noted"), ["room"]);
  a.disconnect();
  b.disconnect();
}

async function upgrade() {
  const socket = io(url, { forceNew: true, reconnection: false });
  const heard = hears(socket, "echo-back");
  const upgraded = once(socket.io.engine, "upgrade");
  same("upgrade: it begins by polling", socket.io.engine.transport.name, "polling");
  await once(socket, "connect");
  for (let number = 0; number < 100; number += 1) socket.emit("echo", number, Buffer.from([number]));
  await upgraded;
  for (let number = 100; number < 200; number += 1) socket.emit("echo", number, Buffer.from([number]));
  await settled(socket);
  same("upgrade: it goes on by WebSocket", socket.io.engine.transport.name, "websocket");
  same("upgrade: the server knows", await ask(socket, "transport"), ["WebSocket"]);
  same("upgrade: nothing is lost on the way", heard.map(([number]) => number), [...Array(200).keys()]);
  socket.disconnect();
}

async function main() {
  const ways = { polling: { transports: ["polling"] }, websocket: { transports: ["websocket"] }, both: {} };
  for (const [way, options] of Object.entries(ways)) {
    for (const part of [events, binary, rooms, namespaces, reasons, recovery]) await part(way, options);
  }
  await upgrade();
  console.log(`${checks} checks, ${failures} failed`);
  process.exit(failures === 0 ? 0 : 1);
}

// A check that waits for what never comes.
setTimeout(() => {
  console.log(`stuck after ${checks} checks`);
  process.exit(2);
}, 120_000);
main().catch((error) => {
  console.log(`FAILED after ${checks} checks: ${error.stack}`);
  process.exit(1);
});
