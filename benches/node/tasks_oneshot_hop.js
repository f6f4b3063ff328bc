// A chain of 1000 async functions, each of which awaits a promise and resolves the next.
'use strict';
const { start, stop, ops } = require('./measure.js');

const CHAIN = 1000;
const total = ops();
async function link(receiver, resolve) {
  resolve((await receiver) + 1);
}
(async () => {
  const begin = start();
  for (let hops = 0; hops < total; hops += CHAIN) {
    let first;
    const last = new Promise((resolve) => (first = resolve));
    for (let i = 0; i < CHAIN; i++) {
      let sender;
      const receiver = new Promise((resolve) => (sender = resolve));
      link(receiver, first);
      first = sender;
    }
    first(0);
    if ((await last) !== CHAIN) throw new Error('the value is wrong');
  }
  stop(begin, total);
})();
