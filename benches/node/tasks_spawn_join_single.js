// An async function that waits once, called and awaited, one by one.
'use strict';
const { start, stop, ops } = require('./measure.js');

const total = ops();
async function task(number) {
  await undefined; // a spawned task is queued before it runs
  return number;
}
(async () => {
  let sum = 0;
  const begin = start();
  for (let i = 0; i < total; i++) sum += await task(i);
  if (sum !== (total * (total - 1)) / 2) throw new Error(`the sum is ${sum}`);
  stop(begin, total);
})();
