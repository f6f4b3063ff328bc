// The chat, as the official client sees it: `node chat.cjs URL LAST_ID [URL]`, with a second service that shares rooms with the first. Prints `ok ...` for each thing that was as it should be, and the last id at the end. Instead of an id, `missed`, `limits`, `rooms`, `frozen`, `resent`, `joins`, `flood`, `calm`, `crowd` and `before` look at one thing each.
"use strict";

const assert = require("node:assert/strict");
const { io } = require("socket.io-client");

const [url, lastId, otherUrl = url] = process.argv.slice(2);
const ok = (what) => console.log(`ok ${what}`);
const connect = (to = url) => new Promise((resolve, reject) => {
  const socket = io(to, { transports: ["websocket"], reconnection: false });
  socket.on("connect", () => resolve(socket));
  socket.on("connect_error", reject);
});
const next = (socket, event, fits = () => true) => new Promise((resolve, reject) => {
  const done = () => {
    socket.off(event, listener);
    socket.off("disconnect", gone);
  };
  const listener = (value) => {
    if (!fits(value)) return;
    done();
    resolve(value);
  };
  const gone = (reason) => {
    done();
    reject(new Error(`gone before ${event}: ${reason}`));
  };
  socket.on(event, listener);
  socket.on("disconnect", gone);
});
const ask = (socket, event, value) => socket.timeout(20000).emitWithAck(event, value);
// Whoever is busy misses a `typing`, and has when what is said behind it comes first: then it is told again. Gives the last that was said.
const typingHeard = async (socket, others, expected) => {
  const typing = others.map((other) => next(other, "typing"));
  let missing = others.length;
  typing.forEach((heard) => heard.then(() => { missing -= 1; }));
  let said;
  while (missing > 0) {
    const heard = others.map((other) => next(other, "message"));
    socket.emit("typing", { on: true });
    said = await ask(socket, "message", { text: "typing" });
    await Promise.all(heard);
  }
  assert.deepEqual(await Promise.all(typing), others.map(() => expected));
  return said.message;
};

async function first() {
  const [ada, bob] = await Promise.all([connect(), connect(otherUrl)]);
  const entered = await ask(ada, "join", { room: "kitchen", name: "ada" });
  assert.deepEqual([entered.room, entered.count, entered.names, entered.history], ["kitchen", 1, ["ada"], []]);
  ok("an empty room");
  const members = next(ada, "members", (room) => room.count === 2);
  assert.equal((await ask(bob, "join", { room: "kitchen", name: "bob" })).count, 2);
  assert.deepEqual((await members).names, ["ada", "bob"]);
  ok("who comes is told");

  const heard = [next(ada, "message"), next(bob, "message")];
  const said = await ask(ada, "message", { text: "  hello <b>&</b> 🦀 " });
  assert.equal(said.message.text, "hello <b>&</b> 🦀");
  assert.deepEqual(await Promise.all(heard), [said.message, said.message]);
  ok("what is said is heard, by the sender too");
  const last = await typingHeard(ada, [bob], { room: "kitchen", name: "ada", on: true });
  ok("typing");

  for (const [event, value] of [
    ["join", { room: "", name: "x" }], ["join", { room: "r".repeat(41), name: "x" }], ["join", { room: 7, name: "x" }],
    ["join", "kitchen"], ["message", { text: "x".repeat(2001) }], ["message", { text: " " }], ["message", {}], ["typing", { on: "yes" }],
  ]) {
    const answer = await ask(ada, event, value);
    assert.equal(answer.error.code, "bad_request", JSON.stringify([event, value, answer]));
  }
  ok("what is of another shape is refused");
  const outsider = await connect();
  assert.equal((await ask(outsider, "message", { text: "psst" })).error.code, "conflict");
  ok("who is in no room says nothing");
  const answers = await Promise.all(Array.from({ length: 40 }, () => ask(outsider, "typing", { on: true })));
  assert.ok(answers.some((answer) => answer.error.code === "rate_limited"));
  ok("who says too much is told so");

  const rest = next(ada, "members", (room) => room.count === 1);
  await ask(bob, "leave", {});
  await rest;
  ok("who goes is told");
  const again = await ask(bob, "join", { room: "kitchen", name: "bob" });
  assert.deepEqual([again.history[0], again.history.at(-1)], [said.message, last]);
  ok("who comes later reads what was said");
  console.log(last.id);
  [ada, bob, outsider].forEach((socket) => socket.close());
}

async function afterwards() {
  const cyd = await connect();
  const fresh = await ask(cyd, "join", { room: "kitchen", name: "cyd" });
  assert.equal(fresh.history.at(-1).id, Number(lastId));
  const said = await ask(cyd, "message", { text: "after the restart" });
  assert.ok(said.message.id > Number(lastId));
  const missed = await ask(cyd, "join", { room: "kitchen", name: "cyd", after: Number(lastId) });
  assert.ok(missed.history.some((message) => message.text === "after the restart"));
  ok("a restart loses nothing");
  console.log(said.message.id);
  cyd.close();
}

// Of 450 messages that are there, all but the first were missed.
async function missed() {
  const ada = await connect();
  const pages = [];
  for (let after = 1; pages.at(-1)?.length !== 0; after = pages.at(-1).at(-1)?.id) {
    pages.push((await ask(ada, "join", { room: "hall", name: "ada", after })).history);
  }
  assert.deepEqual(pages.map((page) => page.length), [200, 200, 49, 0]);
  assert.deepEqual(pages.flat().map((message) => message.id), Array.from({ length: 449 }, (_, index) => index + 2));
  ok("what was missed comes page by page");
  assert.equal((await ask(ada, "join", { room: "hall", name: "ada" })).history.length, 50);
  ok("who was never there gets the last");
  ada.close();
}

// An address may connect and say 10 times at once, and once a second; each of its people 20 times.
async function limits() {
  const sockets = [await connect(), await connect()];
  const codes = [];
  for (let turn = 0; turn < 15; turn += 1) {
    for (const socket of sockets) codes.push((await ask(socket, "typing", { on: true })).error.code);
  }
  assert.equal(codes[0], "conflict");
  assert.ok(codes.includes("rate_limited"), String(codes));
  ok("those of one address share what it may say");
  const more = await Promise.allSettled(Array.from({ length: 8 }, () => connect()));
  assert.ok(more.some(({ status }) => status === "rejected"));
  ok("and how often it may come");
  process.exit(0);
}

// Of seven people at least three are with other workers than the first.
async function rooms() {
  const people = await Promise.all(Array.from({ length: 7 }, () => connect()));
  const room = `hall ${process.pid}`;
  const all = next(people[0], "members", ({ count }) => count === people.length);
  for (const [index, socket] of people.entries()) {
    const { count } = await ask(socket, "join", { room, name: `p${index}` });
    assert.equal(count, index + 1);
  }
  assert.deepEqual((await all).names, people.map((_, index) => `p${index}`));
  ok("all are members");
  const heard = people.map((socket) => next(socket, "message"));
  const { message } = await ask(people[0], "message", { text: "hello" });
  assert.deepEqual(await Promise.all(heard), people.map(() => message));
  await typingHeard(people[0], people.slice(1), { room, name: "p0", on: true });
  ok("all hear what is said");
  const rest = next(people[0], "members", ({ count }) => count === 1);
  people.slice(1).forEach((socket) => socket.close());
  await rest;
  ok("who goes is no member any more");
  people[0].close();
}

// A worker stands still: its people are not counted in time, and counted again once they can be. `otherUrl` is the pid.
async function frozen() {
  const people = await Promise.all(Array.from({ length: 6 }, () => connect(url)));
  const room = "frozen";
  const all = next(people[0], "members", ({ count }) => count === people.length);
  for (const [index, socket] of people.entries()) await ask(socket, "join", { room, name: `p${index}` });
  await all;
  // A worker tells of a later room once it has told of this one: then none has anything left to tell.
  const later = await Promise.all(people.map(() => connect(url)));
  await Promise.all(later.map(async (socket, index) => {
    const told = next(socket, "members");
    await ask(socket, "join", { room: `later ${index}`, name: "p" });
    await told;
  }));
  process.kill(Number(otherUrl), "SIGSTOP");
  const live = await Promise.any(people.map((socket) => ask(socket, "typing", { on: true }).then(() => socket)));
  // It is told that somebody left and that somebody came.
  let told = 0;
  const some = next(live, "members", ({ count }) => count < people.length && (told += 1) === 2);
  assert.ok((await ask(live, "join", { room, name: "again" })).count < people.length);
  await some;
  const whole = next(live, "members", ({ count }) => count === people.length);
  process.kill(Number(otherUrl), "SIGCONT");
  await whole;
  ok("those of a worker that stood still are counted again");
}

// The first message is stored, and there is no answer in time: its sender sends it again, by its key. `otherUrl` may be another worker.
async function resent() {
  const [ada, bob] = await Promise.all([connect(), connect(otherUrl)]);
  const room = `resent ${process.pid}`;
  await ask(ada, "join", { room, name: "ada" });
  await ask(bob, "join", { room, name: "bob" });
  const heard = [];
  bob.on("message", (message) => heard.push(message));
  const say = (text, key) => ask(ada, "message", { text, key });
  assert.equal((await say("hello", "key-of-ada-1")).error.code, "unavailable");
  const { message } = await say("hello", "key-of-ada-1");
  assert.deepEqual([message.text, message.key], ["hello", "key-of-ada-1"]);
  assert.deepEqual((await say("hello", "key-of-ada-1")).message, message);
  ok("what is sent again gets the first one's answer");
  assert.equal((await say("good day", "key-of-ada-1")).error.code, "key_reused");
  for (const key of ["short", "k".repeat(65), "of two words"]) assert.equal((await say("hello", key)).error.code, "bad_request", key);
  ok("a key is that of one message");
  const last = next(bob, "message", ({ text }) => text === "the last");
  const other = (await say("hello")).message;
  const end = (await say("the last", "key-of-ada-2")).message;
  await last;
  assert.deepEqual(heard, [message, other, end]);
  const { history } = await ask(bob, "join", { room, name: "bob" });
  assert.deepEqual(history, heard);
  // Of another room.
  await ask(ada, "join", { room: `${room} too`, name: "ada" });
  assert.notEqual((await say("hello", "key-of-ada-1")).message.id, message.id);
  ok("it is told and kept once");
  [ada, bob].forEach((socket) => socket.close());
}

// A join with `after` fails while a newer one has its answer.
async function joins() {
  const [ada, bob] = await Promise.all([connect(), connect()]);
  await ask(bob, "join", { room: "there", name: "bob" });
  const { ws } = ada.io.engine.transport;
  for (let turn = 0; turn < 5; turn += 1) {
    // Both at once: the client itself would send one after the other.
    const joined = next(ada, "members", ({ count }) => count === 2);
    ws._socket.cork();
    for (const join of [{ room: "failing", name: "ada", after: 1 }, { room: "there", name: "ada" }]) ws.send(`42${JSON.stringify(["join", join])}`);
    ws._socket.uncork();
    await joined;
    const heard = next(ada, "message");
    const { message } = await ask(bob, "message", { text: `hello ${turn}` });
    assert.deepEqual(await heard, message);
    assert.equal((await ask(ada, "message", { text: "hello to you" })).message.room, "there");
  }
  ok("who joined another room meanwhile stays there");
  const answer = await ask(ada, "join", { room: "failing", name: "ada", after: 1 });
  assert.equal(answer.error.code, "unavailable");
  assert.equal((await ask(ada, "message", { text: "where am I" })).error.code, "conflict");
  ok("who did not is nowhere");
  [ada, bob].forEach((socket) => socket.close());
}

// A worker stands still, as `otherUrl`, its pid, says, until there is no room for what it should pass on: its people are told once it goes on.
async function flood() {
  const people = await Promise.all(Array.from({ length: 96 }, () => connect()));
  await Promise.all(people.map((socket, index) => ask(socket, "join", { room: `flood ${index}`, name: "p" })));
  process.kill(Number(otherUrl), "SIGSTOP");
  const live = [];
  await new Promise((done) => people.forEach((socket) => ask(socket, "typing", { on: true }).then(() => {
    if (live.push(socket) === 64) done();
  }, () => {})));
  const told = new Set();
  people.forEach((socket) => socket.on("again", () => told.add(socket)));
  const still = people.filter((socket) => !live.includes(socket));
  const all = Promise.all(still.map((socket) => next(socket, "again")));
  const text = "🦀".repeat(1000);
  await Promise.all(live.map(async (socket) => {
    for (let turn = 0; turn < 3; turn += 1) assert.ok((await ask(socket, "message", { text: text + text })).message);
  }));
  process.kill(Number(otherUrl), "SIGCONT");
  await all;
  assert.deepEqual([still.length, told.size], [32, 32]);
  ok("who has missed something is told so, and nobody else");
}

// More than are named, and more than one worker names.
async function crowd() {
  const people = await Promise.all(Array.from({ length: 340 }, () => connect()));
  const all = next(people[0], "members", ({ count }) => count === people.length);
  const answers = await Promise.all(people.map((socket, index) => ask(socket, "join", { room: "crowd", name: `p${index}` })));
  assert.ok(answers.every(({ count, names }) => count > 0 && names.length === Math.min(count, 100)));
  const { names } = await all;
  assert.equal(names.length, 100);
  ok("all are counted");
  people.forEach((socket) => socket.close());
}

// A second service starts beside the first and shares its rooms: nobody there has missed anything.
async function calm() {
  const ada = await connect();
  const heard = [];
  ada.onAny((event) => heard.push(event));
  await ask(ada, "join", { room: "hall", name: "ada" });
  let bob;
  while (!bob) bob = await connect(otherUrl).catch(() => null);
  const message = next(ada, "message");
  await ask(bob, "join", { room: "hall", name: "bob" });
  await ask(bob, "message", { text: "hello" });
  await message;
  assert.ok(!heard.includes("again"), String(heard));
  ok("who was there is left alone");
  [ada, bob].forEach((socket) => socket.close());
}

async function before() {
  const ada = await connect();
  const { history } = await ask(ada, "join", { room: "hall", name: "ada" });
  assert.deepEqual(history.map(({ name, text, key }) => [name, text, key]), [["bob", "from before", undefined]]);
  assert.equal((await ask(ada, "message", { text: "hello", key: "key-of-ada" })).message.key, "key-of-ada");
  ok("who comes later reads it");
  ada.close();
}

// Whatever is never heard ends it, with what was heard before on record.
setTimeout(() => {
  console.error("still waiting after 120 s");
  process.exit(1);
}, 120000).unref();

const acts = { 0: first, missed, limits, rooms, frozen, resent, joins, flood, calm, crowd, before };
(acts[lastId] ?? afterwards)().then(() => process.exit(0), (error) => {
  console.error(error);
  process.exit(1);
});
