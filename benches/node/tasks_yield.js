// An await of nothing lets the other microtasks run.
'use strict';
const { start, stop, ops } = require('./measure.js');

const total = ops();
(async () => {
  const begin = start();
  for (let i = 0; i < total; i++) await undefined;
  stop(begin, total);
})();
