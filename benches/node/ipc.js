'use strict';
// The same exchange as `src/bin/ipc.rs`, between two processes of Node: `node ipc.js MESSAGES WINDOW BYTES`.
const { fork } = require('node:child_process');

if (process.send) {
  process.on('message', (message) => process.send(message));
} else {
  const [messages, window, bytes] = process.argv.slice(2).map(Number);
  const child = fork(__filename);
  const body = 'x'.repeat(bytes - 2); // with its quotes, as many bytes as the others send
  let sent = 0;
  let received = 0;
  const send = () => {
    if (sent < messages) {
      sent += 1;
      child.send(body);
    }
  };
  child.on('message', (message) => {
    if (message.length !== body.length) throw new Error(`an echo of ${message.length} bytes`);
    received += 1;
    if (received === messages) child.disconnect();
    else send();
  });
  for (let i = 0; i < window; i += 1) send();
}
