// A thousand calls of an async function that waits once, then all are awaited.
'use strict';
const { start, stop, ops } = require('./measure.js');

const BATCH = 1000;
const total = ops();
async function task(number) {
  await undefined; // a spawned task is queued before it runs
  return number;
}
(async () => {
  let sum = 0;
  const tasks = new Array(BATCH);
  const begin = start();
  for (let first = 0; first < total; first += BATCH) {
    for (let i = 0; i < BATCH; i++) tasks[i] = task(first + i);
    for (const result of await Promise.all(tasks)) sum += result;
  }
  if (sum !== (total * (total - 1)) / 2) throw new Error(`the sum is ${sum}`);
  stop(begin, total);
})();
