// The npm package ws as a server for our client: prints its port, and does what it is told. Ends with its standard input.
"use strict";
const { WebSocketServer } = require("ws");

const server = new WebSocketServer({
  host: "127.0.0.1",
  port: 0,
  perMessageDeflate: { threshold: 0 },
  handleProtocols: (offered) => (offered.has("superchat") ? "superchat" : false),
});
server.on("listening", () => console.log(server.address().port));
server.on("connection", (socket, request) => {
  socket.on("message", (data, isBinary) => {
    switch (isBinary ? "" : data.toString()) {
      case "headers": return socket.send(request.headers["x-greeting"] ?? "none");
      case "ping": return socket.ping("p", () => socket.once("pong", (payload) => socket.send(`pong ${payload}`)));
      case "pieces":
        socket.send("in ", { fin: false });
        return socket.send("pieces");
      case "close": return socket.close(4002, "bye");
      case "break": return socket.terminate();
      default: return socket.send(data, { binary: isBinary });
    }
  });
});
process.stdin.on("end", () => process.exit()).resume();
