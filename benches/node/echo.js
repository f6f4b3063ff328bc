// An echo server: prints its port and serves until it is sent SIGTERM, or until its parent has gone.
'use strict';
const net = require('node:net');

const server = net.createServer({ noDelay: true }, (socket) => {
  socket.on('data', (bytes) => socket.write(bytes));
  socket.on('error', () => socket.destroy());
});
server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => process.stdout.write(`${server.address().port}\n`));

// A parent that was killed cannot end this process: it looks now and then whether it still has the same one.
const parent = process.ppid;
setInterval(() => {
  if (process.ppid !== parent) process.exit(1);
}, 5000);
