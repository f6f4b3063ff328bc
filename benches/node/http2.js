// Answers every request of HTTP/2 in a few words: prints its port and serves until it is sent SIGTERM, or until its parent has gone.
'use strict';
const http2 = require('node:http2');

const headers = { ':status': 200, 'content-type': 'text/plain', 'content-length': 13, server: 'bench' };
const server = http2.createServer();
server.on('stream', (stream) => {
  stream.on('error', () => stream.destroy());
  stream.respond(headers);
  stream.end('Hello, World!');
});
server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => process.stdout.write(`${server.address().port}\n`));

// A parent that was killed cannot end this process: it looks now and then whether it still has the same one.
const parent = process.ppid;
setInterval(() => {
  if (process.ppid !== parent) process.exit(1);
}, 5000);
