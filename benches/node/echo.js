// An echo server: prints its port, then the CPU time it has used, in ns, for each line on standard input.
'use strict';
const net = require('node:net');

const server = net.createServer({ noDelay: true }, (socket) => {
  socket.on('data', (bytes) => socket.write(bytes));
  socket.on('error', () => socket.destroy());
});
server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => process.stdout.write(`${server.address().port}\n`));

process.stdin.on('data', () => {
  const { user, system } = process.cpuUsage();
  process.stdout.write(`${(user + system) * 1000}\n`);
});
process.stdin.on('end', () => process.exit(0));
