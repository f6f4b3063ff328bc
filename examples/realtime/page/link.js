// The connection, as the page tells of it, and the streams of events that are a part of it.

import { at, later, patience } from "./base.js";

/** Three streams make one state: all live, or not. What came back says what it caught up with. */
export const link = {
  up: { chat: false, orders: false, loop: false },
  lostAt: 0,
  caught: [],
  set(stream, up) {
    if (this.up[stream] === up) return;
    this.up[stream] = up;
    const all = Object.values(this.up).every(Boolean);
    const pill = at("state");
    if (all) {
      pill.dataset.state = "live";
      pill.textContent = "Live";
      if (this.lostAt) this.say("live", `Back after ${((Date.now() - this.lostAt) / 1000).toFixed(1)} s. `);
      this.lostAt = 0;
    } else if (!up && pill.dataset.state === "live") {
      this.lostAt = Date.now();
      this.caught = [];
      pill.dataset.state = "lost";
      pill.textContent = "Reconnecting…";
      this.say("lost", `The connection was lost at ${new Date().toLocaleTimeString()}. Trying again; what you write is kept.`);
    }
  },
  /** Notes what a stream did when it came back. */
  tell(text) {
    this.caught.push(text);
    if (!this.lostAt && at("notice").dataset.state === "live") this.say("live", at("notice").dataset.head ?? "");
  },
  say(state, text) {
    const notice = at("notice");
    clearTimeout(this.hiding);
    notice.hidden = false;
    notice.dataset.state = state;
    notice.dataset.head = text;
    notice.textContent = state === "live" ? text + this.caught.join(" ") : text;
    if (state === "live") this.hiding = later(15000, () => { notice.hidden = true; });
  },
};

/** A stream that is silent for longer is none: the server says something at least every 15 s. */
const SILENCE_MAX = 40000;

/** An event stream that comes back by itself, also where an `EventSource` gives up, after an answer that is an error, and where it notices
 * nothing, as when the network went away without a word. The function it gives opens it anew. */
export function follow(stream, url, events) {
  let source, tries = 0, waiting = 0, watch = 0;
  const lost = () => {
    if (link.up[stream]) events.lost?.();
    link.set(stream, false);
  };
  const alive = () => {
    clearTimeout(watch);
    watch = later(SILENCE_MAX, () => { lost(); source.close(); open(); });
  };
  const open = () => {
    source = new EventSource(url());
    alive();
    source.onopen = () => { tries = 0; alive(); link.set(stream, true); events.open?.(); };
    source.onerror = () => {
      lost();
      if (source.readyState !== EventSource.CLOSED) return; // it tries again by itself, with the last id
      clearTimeout(watch);
      waiting = later(patience(tries++), open);
    };
    for (const [name, take] of Object.entries({ beat() {}, ...events.on })) {
      source.addEventListener(name, (event) => { alive(); take(JSON.parse(event.data), event.lastEventId); });
    }
  };
  open();
  addEventListener("online", () => {
    if (source.readyState !== EventSource.CLOSED) return;
    clearTimeout(waiting);
    open();
  });
  return () => {
    clearTimeout(waiting);
    source.close();
    open();
  };
}
