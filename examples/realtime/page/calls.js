// Calls of the API.

import { later, patience } from "./base.js";

class Refused extends Error {
  constructor(status, { code = "internal", message = `the server answered ${status}` } = {}, retryAfter = 0) {
    super(message);
    Object.assign(this, { status, code, retryAfter });
  }
}

/** How long an answer may take: the server gives up sooner, so only a connection that is none is silent for longer. */
const ANSWER_MAX = 30000;
/** How often it is tried what the server fails at without saying that this passes. */
const FAILURES_MAX = 4;

export async function call(method, path, { body, token, key } = {}) {
  const headers = { accept: "application/json" };
  if (body !== undefined) headers["content-type"] = "application/json";
  if (token) headers.authorization = `Bearer ${token}`;
  if (key) headers["idempotency-key"] = key;
  const signal = AbortSignal.timeout(ANSWER_MAX);
  const answer = await fetch(path, { method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body) });
  // An answer that was cut is none; only an error needs no body.
  const data = await answer.json().catch((error) => { if (answer.ok) throw error; return {}; });
  if (!answer.ok) throw new Refused(answer.status, data.error, Number(answer.headers.get("retry-after")) || 0);
  return data;
}

/** Whether a call that failed may come out otherwise in a moment: no answer at all, or one that leaves open what was done. */
const passes = (error) => !(error instanceof Refused) || error.status >= 500 || error.status === 429;

/** Calls until there is an answer: the server may be away for a while. */
export async function insist(method, path, options, onWait) {
  for (let tries = 0, failures = 0; ; tries++) {
    try {
      return await call(method, path, options);
    } catch (error) {
      failures += error.status === 500;
      if (!passes(error) || failures >= FAILURES_MAX) throw error;
      onWait?.(error);
      await new Promise((go) => later(Math.max(patience(tries), (error.retryAfter ?? 0) * 1000), go));
    }
  }
}
