'use strict';
// Runs one scenario (FORMAT.md) in a page and posts its trace to the server that the page came from, which answers with
// the number of the next page.
//
// The page defines PROGRAM (the main body) and NUMBER before this script. The main body is a task of its own, posted when the
// page has loaded: it is no timer, so what it sets is not nested, and nothing else of the page is left to do.

const trace = [];
const objects = new Map(); // label -> the newest object that was created under it
const reported = new WeakMap(); // promise -> the label it was reported as unhandled with
let outstanding = 1; // what is still to be called: the main body, timers, messages

// --- what is recorded ---

function record(entry) {
  trace.push(entry);
}

function failure(label) {
  const error = new Error(label);
  error.label = label;
  return error;
}

addEventListener('error', (event) => {
  record('uncaught:' + (event.error ? event.error.label : event.message));
  event.preventDefault();
});
addEventListener('unhandledrejection', (event) => {
  reported.set(event.promise, event.reason.label);
  record('unhandled:' + event.reason.label);
  event.preventDefault();
});
addEventListener('rejectionhandled', (event) => {
  record('handled:' + reported.get(event.promise));
});

// --- bodies and callbacks ---

function run(body) {
  for (const op of body) OPERATIONS[op.op](op);
}

function call(op) {
  record(op.label);
  run(op.do || []);
}

function busy(ms) {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

// --- promises and async functions ---

function thenable(label) {
  return {
    then(resolve) {
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
  return () => {
    call(link);
    return operand(link.returns, link.label + '.then');
  };
}

function attach(promise, links) {
  for (const link of links) {
    if (link.on === 'rejected') promise = promise.then(undefined, linkCallback(link));
    else if (link.on === 'finally') promise = promise.finally(linkCallback(link));
    else promise = promise.then(linkCallback(link));
  }
}

function awaited(step) {
  if (step.on === 'async') return callAsync(step);
  if (step.on === 'sleep') return new Promise((resolve) => { timeout(resolve, step.ms); });
  return operand(step.on, step.label);
}

async function callAsync(op) {
  record(op.label);
  for (const step of op.steps) {
    if (step.op === 'await') await awaited(step);
    else if (step.op === 'return') return operand(step.what, step.label);
    else OPERATIONS[step.op](step);
  }
}

// --- timers ---

function timeout(f, ms) {
  outstanding++;
  const object = { isSet: true };
  object.id = setTimeout(() => {
    settle(object);
    f();
  }, ms);
  return object;
}

function interval(op) {
  outstanding++;
  let calls = 0;
  const object = { isSet: true };
  object.id = setInterval(() => {
    record(op.label);
    calls++;
    if (calls === op.times) clear(object);
    run(op.do || []);
  }, op.ms);
  objects.set(op.label, object);
}

/** A timer has fired for the last time, or was cleared. */
function settle(object) {
  if (object.isSet) outstanding--;
  object.isSet = false;
}

function clear(object) {
  clearTimeout(object.id); // intervals are numbered alike
  settle(object);
}

// --- posted messages ---

const messages = [];
addEventListener('message', () => {
  outstanding--;
  call(messages.shift());
});

// --- the operations ---

const OPERATIONS = {
  log(op) { record(op.label); },
  busy(op) { busy(op.ms); },
  throw(op) { throw failure(op.label); },
  microtask(op) { queueMicrotask(() => call(op)); },
  promise(op) {
    let start = Promise.resolve();
    if (op.from === 'promise' || op.from === 'thenable') {
      start = new Promise((resolve) => { resolve(operand(op.from, op.label)); });
    }
    attach(start, op.then);
  },
  async(op) { attach(callAsync(op), op.then || []); },
  reject(op) { objects.set(op.label, { promise: Promise.reject(failure(op.label)) }); },
  catch(op) {
    const object = objects.get(op.id);
    if (object !== undefined && object.promise) object.promise.then(undefined, () => call(op));
  },
  message(op) {
    outstanding++;
    messages.push(op);
    postMessage(null, '*');
  },
  timeout(op) { objects.set(op.label, timeout(() => call(op), op.ms)); },
  interval,
  clear(op) {
    const object = objects.get(op.id);
    if (object !== undefined && !object.promise) clear(object);
  }
};

// --- the run ---

addEventListener('load', () => {
  const start = new MessageChannel();
  start.port1.onmessage = () => {
    outstanding--;
    run(PROGRAM);
  };
  start.port2.postMessage(null);
  watch();
});

/** Reports the trace when nothing has been outstanding for a while: rejections are reported late. */
function watch() {
  let quiet = 0;
  const watcher = setInterval(() => {
    quiet = outstanding === 0 ? quiet + 1 : 0;
    if (quiet < 3) return;
    clearInterval(watcher);
    report();
  }, 20);
}

async function report() {
  const answer = await fetch('/' + NUMBER, { method: 'POST', body: JSON.stringify(trace) });
  const next = await answer.text();
  if (next !== '') location.replace('/' + next);
}
