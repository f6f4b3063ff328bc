// Each microtask queues the next.
'use strict';
const { start, stop, ops } = require('./measure.js');

const total = ops();
let ran = 0;
const begin = start();
queueMicrotask(function again() {
  ran += 1;
  if (ran < total) queueMicrotask(again);
  else stop(begin, ran);
});
