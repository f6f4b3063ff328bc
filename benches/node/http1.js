// Answers every request of HTTP/1.1 in a few words: prints its port and serves until it is sent SIGTERM, or until its parent has gone.
'use strict';
const http = require('node:http');

const headers = { 'Content-Type': 'text/plain', 'Content-Length': 13, Server: 'bench' };
const server = http.createServer({ noDelay: true }, (request, response) => {
  response.writeHead(200, headers);
  response.end('Hello, World!');
});
server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => process.stdout.write(`${server.address().port}\n`));

// A parent that was killed cannot end this process: it looks now and then whether it still has the same one.
const parent = process.ppid;
setInterval(() => {
  if (process.ppid !== parent) process.exit(1);
}, 5000);
