// The npm package ws as a client of our server: `node ws_client.cjs PORT`. Says `ok` or `FAILED` for each check.
"use strict";
const WebSocket = require("ws");

const url = `ws://127.0.0.1:${process.argv[2]}/`;

function same(name, found, wanted) {
  const [left, right] = [JSON.stringify(found), JSON.stringify(wanted)];
  console.log(left === right ? `ok ${name}` : `FAILED ${name}: ${left} is not ${right}`);
}

const once = (socket, event) => new Promise((resolve) => socket.once(event, (...args) => resolve(args)));
const open = async (options) => {
  const socket = new WebSocket(url, options);
  await once(socket, "open");
  return socket;
};

async function messages(way, options, extensions) {
  const socket = await open(options);
  same(`${way}: extensions`, socket.extensions, extensions);
  for (const text of ["", "a", "\u00e4\u{1f600}".repeat(100), "long ".repeat(50_000)]) {
    socket.send(text);
    const [data, isBinary] = await once(socket, "message");
    same(`${way}: text of ${text.length}`, [data.toString() === text, isBinary], [true, false]);
  }
  for (const length of [0, 125, 126, 65_535, 65_536, 300_000]) {
    const bytes = Buffer.alloc(length, "x");
    socket.send(bytes);
    const [data, isBinary] = await once(socket, "message");
    same(`${way}: ${length} bytes`, [data.equals(bytes), isBinary], [true, true]);
  }
  socket.send("in ", { fin: false });
  socket.ping("between");
  socket.send("two ", { fin: false });
  socket.send("pieces");
  const [[pong], [whole]] = await Promise.all([once(socket, "pong"), once(socket, "message")]);
  same(`${way}: a pong between fragments`, pong.toString(), "between");
  same(`${way}: fragments`, whole.toString(), "in two pieces");
  const many = [];
  const all = new Promise((resolve) => socket.on("message", (data) => many.push(data.toString()) === 1000 && resolve()));
  for (let number = 0; number < 1000; number += 1) socket.send(String(number));
  await all;
  same(`${way}: a thousand in order`, many.every((text, number) => text === String(number)), true);
  socket.close(4001, "enough");
  const [code, reason] = await once(socket, "close");
  same(`${way}: goodbye`, [code, reason.toString()], [4001, "enough"]);
}

async function refusals() {
  const long = await open({ perMessageDeflate: false });
  long.send(Buffer.alloc(17 * 1024 * 1024));
  long.on("error", () => {}); // it may still be writing when the server has had enough
  same("too long", (await once(long, "close"))[0], 1009);
  const raw = await open({ perMessageDeflate: false });
  raw._socket.write(Buffer.from([0x83, 0x80, 0, 0, 0, 0])); // a reserved opcode
  same("an opcode that nobody knows", (await once(raw, "close"))[0], 1002);
}

(async () => {
  await messages("plain", { perMessageDeflate: false }, "");
  await messages("packed", { perMessageDeflate: { threshold: 0 } }, "permessage-deflate");
  await messages(
    "small window",
    { perMessageDeflate: { threshold: 0, serverMaxWindowBits: 10, clientMaxWindowBits: 10 } },
    "permessage-deflate",
  );
  await refusals();
  console.log("end");
})();
