// A million one-shot timers, due in 1 to 1000 ms.
'use strict';
const { start, stop, ops, numbers } = require('./measure.js');

const timers = ops();
const between = numbers();
const delays = new Uint16Array(timers);
for (let i = 0; i < timers; i++) delays[i] = between(1, 1000);
let fired = 0;
const begin = start();
function onDue() {
  fired += 1;
  if (fired === timers) stop(begin, fired);
}
for (let i = 0; i < timers; i++) setTimeout(onDue, delays[i]);
