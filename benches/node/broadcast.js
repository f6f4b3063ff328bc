// The official Socket.IO server: an event from one client is an event to all. Prints its port.
"use strict";
const { createServer } = require("http");
const { Server } = require("socket.io");

const server = createServer();
const io = new Server(server, { transports: ["websocket"] });
io.on("connection", (socket) => socket.on("go", () => io.emit("news", "x".repeat(64))));
server.listen(0, "127.0.0.1", 4096, () => console.log(server.address().port));
