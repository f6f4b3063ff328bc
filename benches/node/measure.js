// The clocks that every script reads: CPU time of the process, all threads, and time on the wall.
'use strict';

function start() {
  return { cpu: process.cpuUsage(), wall: process.hrtime.bigint() };
}

function stop(begin, ops) {
  const cpu = process.cpuUsage(begin.cpu);
  const wall = process.hrtime.bigint() - begin.wall;
  const line = { ops, cpu_ns: (cpu.user + cpu.system) * 1000, wall_ns: Number(wall) };
  process.stdout.write(JSON.stringify(line) + '\n');
}

function ops() {
  return Number(process.argv[2]);
}

// xorshift in 32 bits: the same delays in every run.
function numbers() {
  let state = 0x9e3779b9;
  return (low, high) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return low + ((state >>> 0) % (high - low + 1));
  };
}

module.exports = { start, stop, ops, numbers };
