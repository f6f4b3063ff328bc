// 10,000 slots; each operation clears a slot's timer and sets one due in 5 to 6 s.
// Node reads the clock at each insert, and its turn is no part of the question: one block runs in one turn.
'use strict';
const { start, stop, ops, numbers } = require('./measure.js');

const SLOTS = 10000;
const BLOCK = 50000;
const total = ops();
const between = numbers();
const slot = new Uint16Array(BLOCK);
const delay = new Uint16Array(BLOCK);
for (let i = 0; i < BLOCK; i++) {
  slot[i] = between(0, SLOTS - 1);
  delay[i] = between(5000, 6000);
}
function onDue() {
  throw new Error('a timer fired');
}
const timers = [];
for (let i = 0; i < SLOTS; i++) timers.push(setTimeout(onDue, between(5000, 6000)));

let done = 0;
const begin = start();
(function block() {
  const count = Math.min(BLOCK, total - done);
  for (let i = 0; i < count; i++) {
    clearTimeout(timers[slot[i]]);
    timers[slot[i]] = setTimeout(onDue, delay[i]);
  }
  done += count;
  if (done < total) return setImmediate(block);
  stop(begin, done);
  for (const timer of timers) clearTimeout(timer);
})();
