// 10,000 timers; each operation pushes one to 5 s from now, by `refresh`, which is what it is for.
'use strict';
const { start, stop, ops, numbers } = require('./measure.js');

const TIMERS = 10000;
const BLOCK = 50000;
const total = ops();
const between = numbers();
const order = new Uint16Array(BLOCK);
for (let i = 0; i < BLOCK; i++) order[i] = between(0, TIMERS - 1);
function onDue() {
  throw new Error('a timer fired');
}
const timers = [];
for (let i = 0; i < TIMERS; i++) timers.push(setTimeout(onDue, 5000));

let done = 0;
const begin = start();
(function block() {
  const count = Math.min(BLOCK, total - done);
  for (let i = 0; i < count; i++) timers[order[i]].refresh();
  done += count;
  if (done < total) return setImmediate(block);
  stop(begin, done);
  for (const timer of timers) clearTimeout(timer);
})();
