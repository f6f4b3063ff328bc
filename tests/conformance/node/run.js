'use strict';
// Runs one scenario (FORMAT.md) on Node.js and prints its trace as the last line of standard output.
//
//   node run.js scenario.json
//
// Must run on Node 10 to 26, so the syntax stops at async functions. Everything that could queue work of its own is
// done before the main body: a tick or a job of the runner between those of the scenario would change what is measured.

var childProcess = require('child_process');
var crypto = require('crypto');
var EventEmitter = require('events');
var fs = require('fs');
var net = require('net');
var os = require('os');
var path = require('path');

var source = fs.readFileSync(process.argv[2], 'utf8');
var program = JSON.parse(source).program;
var folder = fs.mkdtempSync(path.join(os.tmpdir(), 'phaseloop-'));
var regularFile = path.join(folder, 'file');
fs.writeFileSync(regularFile, Buffer.alloc(64));

var trace = [];
var objects = new Map(); // label -> the newest object that was created under it
var emitters = new Map();
var reported = new WeakMap(); // promise -> the label it was reported as unhandled with
var WARNINGS = ['MaxListenersExceededWarning', 'TimeoutOverflowWarning', 'TimeoutNegativeWarning'];

// --- what is recorded ---

function record(entry) {
  trace.push(entry);
}

function failure(label) {
  var error = new Error(label);
  error.label = label;
  return error;
}

process.on('uncaughtException', function (error) {
  record('uncaught:' + error.label);
  if (error.label === undefined) process.stderr.write(String(error.stack) + '\n');
});
process.on('unhandledRejection', function (error, promise) {
  reported.set(promise, error.label);
  record('unhandled:' + error.label);
});
process.on('rejectionHandled', function (promise) {
  record('handled:' + reported.get(promise));
});
process.on('warning', function (warning) {
  if (WARNINGS.indexOf(warning.name) >= 0) record('warning:' + warning.name);
});

function finish() {
  fs.unlinkSync(regularFile);
  fs.rmdirSync(folder);
  fs.writeSync(1, JSON.stringify(trace) + '\n');
}
process.on('exit', finish);

// --- bodies and callbacks ---

function run(body) {
  for (var i = 0; i < body.length; i++) OPERATIONS[body[i].op](body[i]);
}

function callback(op) {
  return function () {
    record(op.label);
    run(op.do || []);
  };
}

// --- blocking ---

var sleeper = new Int32Array(new SharedArrayBuffer(4));

function busy(ms) {
  var start = process.hrtime();
  for (;;) {
    var passed = process.hrtime(start);
    var left = ms - (passed[0] * 1e3 + passed[1] / 1e6);
    if (left <= 0) return;
    Atomics.wait(sleeper, 0, 0, left);
  }
}

// --- promises and async functions ---

function thenable(label) {
  return {
    then: function (resolve) {
      if (label !== undefined) record(label);
      resolve();
    }
  };
}

/** The operand that a link, a `return` or an `await` names. */
function operand(kind, label) {
  if (kind === 'promise') return Promise.resolve();
  if (kind === 'thenable') return thenable(label);
  if (kind === 'rejected') return Promise.reject(failure(label));
  return undefined;
}

function linkCallback(link) {
  return function () {
    record(link.label);
    run(link.do || []);
    return operand(link.returns, link.label + '.then');
  };
}

function attach(promise, links) {
  links.forEach(function (link) {
    if (link.on === 'rejected') promise = promise.then(undefined, linkCallback(link));
    else if (link.on === 'finally') promise = promise.finally(linkCallback(link));
    else promise = promise.then(linkCallback(link));
  });
}

function awaited(step) {
  switch (step.on) {
    case 'async':
      return call(step);
    case 'nextTick':
      return new Promise(function (resolve) { process.nextTick(resolve); });
    case 'immediate':
      return new Promise(function (resolve) { setImmediate(resolve); });
    case 'sleep':
      return new Promise(function (resolve) { setTimeout(resolve, step.ms); });
    case 'pool':
      return new Promise(function (resolve) { poolJob(function () { resolve(); }); });
    default:
      return operand(step.on, step.label);
  }
}

async function call(op) {
  record(op.label);
  for (var i = 0; i < op.steps.length; i++) {
    var step = op.steps[i];
    if (step.op === 'await') await awaited(step);
    else if (step.op === 'return') return operand(step.what, step.label);
    else OPERATIONS[step.op](step);
  }
}

// --- input and output ---

function poolJob(done) {
  crypto.pbkdf2('secret', 'salt', 1, 1, 'sha1', done);
}

/**
 * The stream of `send`: a fifo. The reading end is a bare handle, because a Socket queues ticks of its own. It is
 * referenced only while a byte is under way.
 */
function openStream() {
  var fifo = path.join(folder, 'fifo');
  childProcess.execFileSync('mkfifo', [fifo]);
  var readEnd = fs.openSync(fifo, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
  var writeEnd = fs.openSync(fifo, fs.constants.O_WRONLY);
  fs.unlinkSync(fifo);
  var handle = new net.Socket({ fd: readEnd, readable: true, writable: false, manualStart: true })._handle;
  var onByte = null;
  handle.onread = function () {
    var listener = onByte;
    onByte = null;
    handle.unref();
    listener();
  };
  handle.readStart();
  handle.unref();
  return function send(listener) {
    onByte = listener;
    handle.ref();
    fs.writeSync(writeEnd, 'x');
  };
}

function echo(listener) {
  var accepted;
  var server = net.createServer(function (socket) {
    accepted = socket;
    socket.on('data', function (data) { socket.write(data); });
    socket.on('error', function () {});
  });
  server.listen(0, '127.0.0.1', function () {
    var client = net.connect(server.address().port, '127.0.0.1', function () { client.write('x'); });
    client.on('error', function () {});
    client.on('data', function () {
      server.close();
      accepted.destroy();
      client.destroy();
      listener();
    });
  });
}

var send = source.indexOf('"send"') < 0 ? null : openStream();
var TCP = source.indexOf('"close"') < 0 ? null : process.binding('tcp_wrap');

// --- emitters ---

function emitter(name) {
  if (!emitters.has(name)) emitters.set(name, new EventEmitter());
  return emitters.get(name);
}

function listen(method) {
  return function (op) {
    var listener = callback(op);
    objects.set(op.label, { kind: 'listener', emitter: op.emitter, event: op.event, value: listener });
    emitter(op.emitter)[method](op.event, listener);
  };
}

// --- timers and immediates ---

var CLEAR = { timeout: clearTimeout, interval: clearInterval, immediate: clearImmediate };

/** Does something with the newest object of `id` if it is of one of these kinds. */
function withObject(kinds, action) {
  return function (op) {
    var object = objects.get(op.id);
    if (object !== undefined && kinds.indexOf(object.kind) >= 0) action(object);
  };
}

function interval(op) {
  var calls = 0;
  var timer = setInterval(function () {
    record(op.label);
    calls++;
    if (calls === op.times) clearInterval(timer);
    run(op.do || []);
  }, op.ms);
  objects.set(op.label, { kind: 'interval', value: timer });
}

// --- the operations, in the order of FORMAT.md ---

var OPERATIONS = {
  log: function (op) { record(op.label); },
  busy: function (op) { busy(op.ms); },
  throw: function (op) { throw failure(op.label); },
  quit: function () { process.exit(0); },
  nextTick: function (op) { process.nextTick(callback(op)); },
  microtask: function (op) {
    if (typeof queueMicrotask === 'function') queueMicrotask(callback(op));
    else Promise.resolve().then(callback(op));
  },
  promise: function (op) {
    var start = Promise.resolve();
    if (op.from === 'promise' || op.from === 'thenable') {
      start = new Promise(function (resolve) { resolve(operand(op.from, op.label)); });
    }
    attach(start, op.then);
  },
  async: function (op) { attach(call(op), op.then || []); },
  reject: function (op) { objects.set(op.label, { kind: 'promise', value: Promise.reject(failure(op.label)) }); },
  catch: function (op) {
    withObject(['promise'], function (object) { object.value.then(undefined, callback(op)); })(op);
  },
  immediate: function (op) { objects.set(op.label, { kind: 'immediate', value: setImmediate(callback(op)) }); },
  timeout: function (op) { objects.set(op.label, { kind: 'timeout', value: setTimeout(callback(op), op.ms) }); },
  interval: interval,
  clear: withObject(['timeout', 'interval', 'immediate'], function (object) { CLEAR[object.kind](object.value); }),
  refresh: withObject(['timeout', 'interval'], function (object) { object.value.refresh(); }),
  ref: withObject(['timeout', 'interval', 'immediate'], function (object) { object.value.ref(); }),
  unref: withObject(['timeout', 'interval', 'immediate'], function (object) { object.value.unref(); }),
  pool: function (op) { poolJob(callback(op)); },
  stat: function (op) { fs.stat(regularFile, callback(op)); },
  readFile: function (op) { fs.readFile(regularFile, callback(op)); },
  send: function (op) { send(callback(op)); },
  echo: function (op) { echo(callback(op)); },
  close: function (op) { new TCP.TCP(TCP.constants.SOCKET).close(callback(op)); },
  on: listen('on'),
  once: listen('once'),
  prepend: listen('prependListener'),
  prependOnce: listen('prependOnceListener'),
  off: withObject(['listener'], function (object) {
    emitter(object.emitter).removeListener(object.event, object.value);
  }),
  offAll: function (op) { emitter(op.emitter).removeAllListeners(op.event); },
  emit: function (op) {
    if (op.event === 'error') emitter(op.emitter).emit('error', failure(op.label));
    else emitter(op.emitter).emit(op.event);
  },
  setMaxListeners: function (op) { emitter(op.emitter).setMaxListeners(op.n); },
  beforeExit: function (op) {
    var calls = 0;
    var times = op.times === undefined ? 1 : op.times;
    process.on('beforeExit', function () {
      record(op.label);
      calls++;
      if (calls <= times) run(op.do || []);
    });
  },
  exit: function (op) {
    process.removeListener('exit', finish); // stays the last one
    process.on('exit', callback(op));
    process.on('exit', finish);
  }
};

run(program);
