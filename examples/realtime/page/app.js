// The page of the realtime service: chat by Socket.IO, orders and the loop by server-sent events. No library and no build step.
// What people wrote is only ever set as text, never as markup.
"use strict";

const at = (id) => document.getElementById(id);
const make = (tag, className = "", text = "") => {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
};
const later = (ms, f) => setTimeout(f, ms);
/** How long to wait before the `tries`-th try: longer each time, and not all clients at once. */
const patience = (tries) => Math.min(5000, 250 * 2 ** tries) * (0.75 + Math.random() / 2);
const money = (cents) => (cents / 100).toLocaleString(undefined, { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const clock = (at) => new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
const ms = (value) => (value >= 1000 ? `${(value / 1000).toFixed(2)} s` : `${value.toFixed(value >= 10 ? 0 : value >= 1 ? 1 : 2)} ms`);
const plural = (count, one, many = `${one}s`) => `${count} ${count === 1 ? one : many}`;
const random = (bytes) => [...crypto.getRandomValues(new Uint8Array(bytes))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
const hue = (name) => `hsl(${[...name].reduce((sum, char) => (sum * 31 + char.codePointAt(0)) % 8191, 7) * 137.5} 60% 50%)`;

/** What is kept in the browser; without a place to keep it, as long as the page is open. */
const keeper = (place) => ({
  read(key) { try { return JSON.parse(place().getItem(`realtime.${key}`)); } catch { return null; } },
  write(key, value) {
    try {
      if (value === null) place().removeItem(`realtime.${key}`);
      else place().setItem(`realtime.${key}`, JSON.stringify(value));
    } catch { /* private windows may refuse */ }
  },
});
const kept = keeper(() => localStorage);
/** The same of this tab alone. */
const keptHere = keeper(() => sessionStorage);

// --- the connection, as the page tells of it ---------------------------------------------------------------------------

/** Three streams make one state: all live, or not. What came back says what it caught up with. */
const link = {
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

/** Which database tells. The ids of another one begin anew, and so does all that is known by them. */
const origin = {
  database: null,
  /** True if it is not the one before. */
  isOther(database) {
    const before = this.database;
    this.database = database;
    if (before === null || before === database) return false;
    link.tell("The database is another one: all begins anew.");
    account.forget();
    chat.anew();
    orders.anew();
    return true;
  },
};

/** A stream that is silent for longer is none: the server says something at least every 15 s. */
const SILENCE_MAX = 40000;

/** An event stream that comes back by itself, also where an `EventSource` gives up, after an answer that is an error, and where it notices
 * nothing, as when the network went away without a word. The function it gives opens it anew. */
function follow(stream, url, events) {
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

// --- Socket.IO ---------------------------------------------------------------------------------------------------------

/** As much of Socket.IO as this page needs: events and acknowledgements over one WebSocket, which comes back with its session. */
class Socket {
  #ws = null; #acks = new Map(); #next = 0; #session = null; #offset = null; #tries = 0; #watch = 0; #patience = 45000;
  constructor(handlers) { this.handlers = handlers; this.connected = false; this.#open(); }

  /** Sends an event; the promise is what was acknowledged, and fails if the connection is lost before. */
  emit(...event) {
    if (!this.connected) return Promise.reject(new Error("not connected"));
    const id = this.#next++;
    this.#ws.send(`42${id}${JSON.stringify(event)}`);
    return new Promise((resolve, reject) => this.#acks.set(id, { resolve, reject }));
  }

  #open() {
    const ws = new WebSocket(`${location.origin.replace(/^http/, "ws")}/socket.io/?EIO=4&transport=websocket`);
    this.#ws = ws;
    ws.onmessage = ({ data }) => this.#take(ws, String(data));
    ws.onclose = () => this.#lost(ws);
    this.#alarm(ws);
  }

  /** A connection that is silent for longer than heartbeats are apart is none. */
  #alarm(ws) {
    clearTimeout(this.#watch);
    this.#watch = later(this.#patience, () => { this.#lost(ws); ws.close(); });
  }

  #lost(ws) {
    if (ws !== this.#ws) return;
    this.#ws = null;
    clearTimeout(this.#watch);
    this.connected = false;
    this.#acks.forEach(({ reject }) => reject(new Error("the connection was lost")));
    this.#acks.clear();
    this.handlers.lost();
    later(patience(this.#tries++), () => this.#open());
  }

  #take(ws, packet) {
    this.#alarm(ws);
    if (packet === "2") return ws.send("3");
    if (packet[0] === "0") {
      const { pingInterval = 25000, pingTimeout = 20000 } = JSON.parse(packet.slice(1));
      this.#patience = pingInterval + pingTimeout;
      return ws.send(`40${this.#session ? JSON.stringify({ pid: this.#session, offset: this.#offset ?? undefined }) : ""}`);
    }
    const [, kind, id, json] = /^4([0-4])(\d*)(.*)$/s.exec(packet) ?? [];
    const body = json ? JSON.parse(json) : null;
    if (kind === "0") return this.#welcome(body ?? {});
    if (kind === "1") return ws.close();
    if (kind === "3") return void (this.#acks.get(+id)?.resolve(body[0]), this.#acks.delete(+id));
    if (kind === "4") { this.#session = null; return ws.close(); }
    if (kind !== "2") return;
    const [name, ...values] = body;
    if (this.#session && typeof values.at(-1) === "string") this.#offset = values.pop();
    this.handlers[name]?.(...values);
  }

  #welcome({ pid = null }) {
    const recovered = pid !== null && pid === this.#session;
    if (!recovered) this.#offset = null;
    this.#session = pid;
    this.#tries = 0;
    this.connected = true;
    this.handlers.welcome(recovered);
  }
}

// --- chat --------------------------------------------------------------------------------------------------------------

const ROOMS = ["lobby", "rust", "node"];
const SHOWN_MAX = 300;
const OUTBOX_MAX = 50;
/** How many messages before the newest are asked for again: they may be told in another order than they were stored in. */
const OVERLAP = 20;
/** How many messages a history behind an id has at most: there may be more behind such a one. */
const PAGE = 200;
/** How many ids are remembered of what is shown: as much as could be told again. */
const SEEN_MAX = 1000;

const chat = {
  room: ROOMS.includes(kept.read("room")) ? kept.read("room") : ROOMS[0],
  last: 0, // the highest id among the messages that are shown
  behind: undefined, // while a history is caught up with: the id behind which it is to be asked for
  joined: null, // the room and the name that were last joined with
  turn: 0, // of joins: the newest alone goes on
  seen: new Set(),
  outbox: [], // what was written and is not acknowledged yet, oldest first: each for its room
  lost: false,
  atEnd: true,
  writers: new Map(),

  get name() { return at("name").value.trim() || "guest"; },

  get isIn() { return this.joined?.room === this.room && this.joined.name === this.name; },

  async join() {
    const [turn, room, name] = [++this.turn, this.room, this.name];
    this.joined = null;
    if (this.last) this.behind ??= Math.max(0, this.last - OVERLAP);
    let answer, fresh = 0;
    do {
      try { answer = await socket.emit("join", { room, name, after: this.behind }); }
      catch { return; } // lost again: the next welcome joins, and goes on where this one was
      if (turn !== this.turn) return;
      if (answer.error) {
        if (answer.error.code !== "rate_limited" && this.trouble !== answer.error.message) this.note(answer.error.message, true);
        this.trouble = answer.error.message;
        return void later(1500, () => { if (socket.connected && turn === this.turn) this.join(); });
      }
      if (origin.isOther(answer.database)) return; // which joins once more
      fresh += answer.history.filter((message) => this.show(message)).length;
      this.behind = answer.history.at(-1)?.id ?? this.behind;
    } while (answer.history.length >= PAGE);
    this.behind = undefined;
    this.trouble = null;
    this.joined = { room, name };
    this.members(answer);
    if (this.lost) link.tell(`Chat: ${fresh ? plural(fresh, "message") + " caught up" : "nothing missed"}.`);
    this.lost = false;
    link.set("chat", true);
    this.flush();
  },

  /** Shows a message in its place unless it is there already: it may come as an event, as an answer and in the history. */
  show({ id, room, name, text, at: time, key }) {
    if ((room ?? this.room) !== this.room || this.seen.has(id)) return false;
    this.seen.add(id);
    if (this.seen.size > SEEN_MAX) this.seen.delete(this.seen.values().next().value);
    const waiting = key && this.outbox.find((one) => one.room === this.room && one.key === key);
    if (waiting) this.drop(waiting);
    const line = this.write(name, text, time, waiting || name === this.name ? "mine" : "");
    line.dataset.id = id;
    if (id < this.last) [...at("messages").children].find((other) => Number(other.dataset.id) > id)?.before(line);
    this.last = Math.max(this.last, id);
    this.typing({ room: this.room, name, on: false });
    return true;
  },

  write(...what) { return this.append(this.line(...what)); },

  line(name, text, time, className) {
    const line = make("li", className);
    const from = make("div", "from");
    from.append(make("b", "", name), make("span", "", time ? clock(time) : "sending…"));
    from.firstChild.style.setProperty("--hue", hue(name));
    line.append(from, make("div", "body", text));
    return line;
  },

  note(text, bad = false) { this.append(make("li", bad ? "note bad" : "note", text)); },

  append(line) {
    const list = at("messages");
    list.insertBefore(line, line.classList.contains("waiting") ? null : list.querySelector(".waiting"));
    while (list.children.length > SHOWN_MAX) list.firstChild.remove();
    if (line.classList.contains("mine")) this.atEnd = true;
    this.stay();
    return line;
  },

  /** Keeps the newest in sight, unless somebody scrolled back to read. */
  stay() { if (this.atEnd) at("messages").scrollTop = at("messages").scrollHeight; },

  /** Takes a message out of the outbox, if it is there still. */
  drop(waiting) {
    this.outbox = this.outbox.filter((other) => other !== waiting);
    waiting.line.remove();
    this.keep();
  },

  /** Keeps what waits over a reload, and shows at each room how much does. */
  keep() {
    keptHere.write("outbox", this.outbox.length ? this.outbox.map(({ line, ...one }) => one) : null);
    for (const room of ROOMS) {
      const count = this.outbox.filter((one) => one.room === room && room !== this.room).length;
      const badge = at("rooms").querySelector(`[data-room="${room}"] small`);
      badge.textContent = count || "";
      badge.title = count ? `${plural(count, "message")} of yours will be sent when you are there` : "";
    }
  },

  /** What a reload found waiting. */
  restore() {
    const waiting = (keptHere.read("outbox") ?? []).filter((one) => ROOMS.includes(one.room) && one.text && one.key).slice(0, OUTBOX_MAX);
    this.outbox = waiting.map((one) => ({ ...one, line: this.line(one.name, one.text, 0, "mine waiting") }));
    this.outbox.filter((one) => one.room === this.room).forEach((one) => this.append(one.line));
    this.keep();
  },

  say(text) {
    if (this.outbox.length >= OUTBOX_MAX) return this.note("Too much is waiting to be sent already.", true);
    const { room, name } = this;
    this.outbox.push({ room, name, text, key: `page-${random(12)}`, line: this.write(name, text, 0, "mine waiting") });
    this.keep();
    this.flush();
  },

  /** Sends what waits for this room, one by one and in order, each until there is an answer. Each has a key of its own, by which the server
   * knows what it has already: that of a message whose answer was lost, or of one that another tab has sent which is a copy of this one. */
  async flush() {
    if (this.flushing) return;
    this.flushing = true;
    while (socket.connected && link.up.chat && this.joined?.room === this.room) {
      const waiting = this.outbox.find(({ room }) => room === this.room);
      if (!waiting) break;
      try {
        const answer = await socket.emit("message", { text: waiting.text, key: waiting.key });
        if (answer.error?.code === "rate_limited" || answer.error?.code === "unavailable") {
          await new Promise((go) => later(1200, go));
          continue;
        }
        this.drop(waiting);
        if (answer.error) this.note(`“${waiting.text}” was refused: ${answer.error.message}`, true);
        else this.show(answer.message);
      } catch { break; } // lost: after the next join
    }
    this.flushing = false;
  },

  members({ room, count, names }) {
    if (room !== this.room) return;
    at("count").textContent = count === 1 ? "Only you are here" : `${count} people here`;
    at("people").replaceChildren(...names.slice(0, 40).map((name) => {
      const item = make("li", "", name);
      item.style.setProperty("--hue", hue(name));
      return item;
    }));
  },

  typing({ room, name, on }) {
    if (room !== this.room) return;
    clearTimeout(this.writers.get(name));
    if (on) this.writers.set(name, later(6000, () => this.typing({ room, name, on: false })));
    else this.writers.delete(name);
    const names = [...this.writers.keys()];
    at("typing").textContent = names.length === 0 ? "" : names.length > 3 ? `${names.length} people are typing…`
      : `${names.join(", ")} ${names.length === 1 ? "is" : "are"} typing…`;
  },

  enter(room) {
    this.room = room;
    kept.write("room", room);
    this.clear();
    this.keep();
    const away = this.outbox.filter((one) => one.room !== room).length;
    if (away) this.note(`${plural(away, "message")} of yours in another room ${away === 1 ? "waits" : "wait"}, and will be sent when you are there again.`);
    if (socket.connected) this.join();
  },

  /** Looks for what was not told; not all at the same moment. */
  again() {
    clearTimeout(this.asking);
    this.asking = later(Math.random() * 1500, () => { if (socket.connected) this.join(); });
  },

  /** The same room, as somebody who was never in it. */
  anew() {
    this.clear();
    if (socket.connected) this.join();
  },

  /** Forgets what was said, not what is to be said. */
  clear() {
    this.last = 0;
    this.behind = undefined;
    this.seen.clear();
    this.writers.clear();
    at("typing").textContent = "";
    at("people").replaceChildren();
    at("messages").replaceChildren(...this.outbox.filter((waiting) => waiting.room === this.room).map((waiting) => waiting.line));
  },
};

/** Tells the room that one types: once, until a pause. */
const own = {
  on: false,
  stop: 0,
  touched() {
    clearTimeout(this.stop);
    if (!this.on && link.up.chat) this.tell(true);
    this.stop = later(2500, () => this.quiet());
  },
  quiet() {
    clearTimeout(this.stop);
    if (this.on) this.tell(false);
  },
  tell(on) {
    this.on = on;
    socket.emit("typing", { on }).catch(() => { this.on = false; });
  },
};

function beginChat() {
  at("name").value = kept.read("name") ?? `guest-${random(2)}`;
  at("rooms").append(...ROOMS.map((room) => {
    const label = make("label", "", room);
    const choice = Object.assign(make("input"), { type: "radio", name: "room", value: room, checked: room === chat.room });
    choice.onchange = () => chat.enter(room);
    label.dataset.room = room;
    label.append(choice, make("small"));
    return label;
  }));
  chat.restore();
  at("name").onchange = () => {
    at("name").value = chat.name;
    kept.write("name", chat.name);
    if (socket.connected) chat.join();
  };
  at("who").onsubmit = (event) => { event.preventDefault(); at("name").blur(); at("text").focus(); };
  const list = at("messages");
  list.onscroll = () => { chat.atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 60; };
  new ResizeObserver(() => chat.stay()).observe(list);
  at("text").oninput = () => own.touched();
  at("say").onsubmit = (event) => {
    event.preventDefault();
    const text = at("text").value.trim();
    if (!text) return;
    own.quiet();
    at("text").value = "";
    chat.say(text);
  };
}

// --- orders ------------------------------------------------------------------------------------------------------------

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

async function call(method, path, { body, token, key } = {}) {
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
async function insist(method, path, options, onWait) {
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

/** The visitor's account: made with the first order, and kept in this browser. */
const account = {
  saved: kept.read("account"),
  get id() { return this.saved?.user.id; },
  async token(onWait) {
    if (this.saved && this.saved.expires_at > Date.now() + 60000) return this.saved.token;
    if (this.saved) {
      const { name } = this.saved.user;
      try { return this.keep(await insist("POST", "api/login", { body: { name, password: this.saved.password } }, onWait), this.saved.password); }
      catch (error) {
        if (error.status !== 401) throw error;
        this.forget();
      }
    }
    const base = chat.name.toLowerCase().replace(/[^a-z0-9_-]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 24) || "guest";
    const body = { name: `${base}-${random(3)}`, password: random(16) };
    try { return this.keep(await insist("POST", "api/users", { body }, onWait), body.password); }
    catch (error) {
      if (error.status !== 409) throw error;
      // The name is taken: by the try before, whose answer was lost.
      return this.keep(await insist("POST", "api/login", { body }, onWait), body.password);
    }
  },
  keep({ user, token, expires_at }, password) {
    this.saved = { user, token, expires_at, password };
    kept.write("account", this.saved);
    return token;
  },
  forget() { this.saved = null; kept.write("account", null); },
  /** Runs `f` with a token; with a new one if the old is refused. */
  async using(f, onWait) {
    try { return await f(await this.token(onWait)); }
    catch (error) {
      if (error.status !== 401) throw error;
      if (this.saved) this.saved.expires_at = 0;
      return f(await this.token(onWait));
    }
  },
};

const LISTED_MAX = 40;
const STEPS = ["pending", "paid", "shipped"];

const orders = {
  last: 0, // the id of the newest event
  missed: 0,
  lost: false,
  rows: new Map(),
  products: [],

  url() { return orders.last ? `api/orders/events?after=${orders.last}` : "api/orders/events?last=20"; },

  open() {
    if (!orders.lost) return;
    orders.lost = false;
    const before = orders.last;
    // What was missed comes at once; a moment later it is known how much that was.
    later(700, () => {
      const caught = Math.max(0, orders.last - before);
      link.tell(`Orders: ${caught ? plural(caught, "event") + " caught up" : "nothing missed"}.`);
    });
    orders.stock();
  },

  anew() {
    orders.last = orders.missed = 0;
    orders.rows.clear();
    at("orders").replaceChildren(orders.none());
    at("orders-note").textContent = "Everybody's, live";
    orders.again();
  },

  none() { return make("li", "empty", "No orders yet. Yours could be the first."); },

  /** Takes an event once, whichever way it comes, and in order. */
  take(event) {
    const id = Number(event.id);
    if (id <= orders.last) return;
    if (orders.last && id > orders.last + 1) orders.missed += id - orders.last - 1;
    orders.last = id;
    document.body.dataset.orderEvents = Number(document.body.dataset.orderEvents ?? 0) + 1;
    if (orders.missed) at("orders-note").textContent = `${plural(orders.missed, "event")} did not come`;
    orders.show(event);
    if (event.status === "pending" || event.status === "cancelled") orders.stockSoon();
  },

  show({ order, user, status, total_cents, at: time }) {
    // Of one's own: everybody's, read aloud, would never end.
    if (user === account.saved?.user.name) at("order-news").textContent = `Order ${order} is ${status}`;
    const row = this.rows.get(order) ?? this.insert(order, user, total_cents);
    if (!row) return;
    row.time.textContent = clock(time);
    row.steps.dataset.at = status;
    row.steps.lastChild.textContent = status;
    row.line.classList.remove("fresh");
    void row.line.offsetWidth; // has the animation begin anew
    row.line.classList.add("fresh");
    row.status = status;
    this.offer(order, row);
  },

  /** A row in its place among the newest orders; none for one that is older than all of them. */
  insert(order, user, cents) {
    if (this.rows.size >= LISTED_MAX && order < Math.min(...this.rows.keys())) return null;
    const line = make("li");
    line.dataset.order = order;
    const what = make("div", "what");
    const time = make("time");
    what.append(make("b", "", `#${order}`), make("span", "", user));
    const steps = make("div", "steps");
    steps.append(...STEPS.map(() => make("i")), make("b"));
    const doing = make("div", "doing");
    line.append(what, make("div", "cents", money(cents)), steps, time, doing);
    at("orders").querySelector(".empty")?.remove();
    const older = [...at("orders").children].find((other) => Number(other.dataset.order) < order);
    at("orders").insertBefore(line, older ?? null);
    const row = { line, time, steps, doing, user, status: "" };
    this.rows.set(order, row);
    while (this.rows.size > LISTED_MAX) {
      const oldest = Math.min(...this.rows.keys());
      this.rows.get(oldest).line.remove();
      this.rows.delete(oldest);
    }
    return row;
  },

  /** Buttons for what the owner may do next. */
  offer(order, row) {
    const mine = row.user === account.saved?.user.name;
    row.line.classList.toggle("own", mine);
    const next = !mine ? [] : row.status === "pending" ? ["pay", "cancel"] : row.status === "paid" ? ["ship", "cancel"] : [];
    const focused = row.doing.contains(document.activeElement);
    row.doing.replaceChildren(...next.map((what) => {
      const button = Object.assign(make("button", "act small", what[0].toUpperCase() + what.slice(1)), { type: "button" });
      button.setAttribute("aria-label", `${what} order ${order}`);
      button.onclick = () => this.change(order, what, row);
      return button;
    }));
    if (focused) row.doing.firstChild?.focus();
  },

  async change(order, what, row) {
    for (const button of row.doing.children) button.disabled = true;
    try {
      // The same again is no error, so it may be said again when the answer was lost.
      await account.using((token) => insist("POST", `api/orders/${order}/${what}`, { token }));
    } catch (error) {
      this.answer(`Order ${order}: ${error.message}`, "lost");
      this.offer(order, row);
    }
  },

  async stock() {
    try { ({ products: this.products } = await call("GET", "api/products")); }
    catch { return void later(2000, () => this.stock()); }
    const list = at("products");
    for (const product of this.products) {
      let item = list.querySelector(`[data-product="${Number(product.id)}"]`);
      if (!item) list.append(item = this.product(product));
      item.querySelector("small").textContent = product.stock > 0 ? `${product.stock} left` : "sold out";
      item.querySelector(".price").textContent = money(product.price_cents);
      item.querySelector("input").max = Math.min(1000, product.stock);
    }
    this.sum();
  },

  stockSoon() {
    clearTimeout(this.asking);
    this.asking = later(400, () => this.stock());
  },

  product({ id, name }) {
    const item = make("li");
    item.dataset.product = id;
    const title = make("div", "", name);
    title.append(make("small"));
    const count = Object.assign(make("input"), { type: "number", inputMode: "numeric", min: 0, value: 0 });
    count.setAttribute("aria-label", `How many of ${name}`);
    count.oninput = () => this.sum();
    const step = make("div", "step");
    const button = (text, by, label) => {
      const made = Object.assign(make("button", "", text), { type: "button", onclick: () => {
        count.value = Math.max(0, Math.min(Number(count.max), Number(count.value) + by));
        this.sum();
      } });
      made.setAttribute("aria-label", label);
      return made;
    };
    step.append(button("−", -1, `One ${name} less`), count, button("+", 1, `One ${name} more`));
    item.append(title, make("span", "price"), step);
    return item;
  },

  wanted() {
    return [...at("products").children].map((item) => ({ product: Number(item.dataset.product), quantity: Math.trunc(Number(item.querySelector("input").value)) }))
      .filter(({ quantity }) => quantity > 0);
  },

  sum() {
    const price = (id) => this.products.find((product) => product.id === id)?.price_cents ?? 0;
    const cents = this.wanted().reduce((sum, { product, quantity }) => sum + price(product) * quantity, 0);
    // Said again only if it is another one.
    if (at("total").textContent !== money(cents)) at("total").textContent = money(cents);
    at("order").disabled = cents === 0 || Boolean(this.placing);
  },

  answer(text, state = "") {
    at("order-answer").textContent = text;
    at("order-answer").dataset.state = state;
  },

  /** Places an order under a key of its own. The key is kept until there is an answer, over a reload too, so that no order is
   * lost and none is made twice. */
  async place(wish) {
    this.placing = wish;
    keptHere.write("wish", wish);
    this.sum();
    this.answer("Placing the order…");
    const waits = () => this.answer("No answer yet. Trying again under the same key, so that nothing is ordered twice.");
    try {
      const { order } = await account.using((token) => insist("POST", "api/orders", { body: { items: wish.items }, token, key: wish.key }, waits), waits);
      this.answer(`Order ${order.id} is placed: ${money(order.total_cents)}.`, "live");
      at("products").querySelectorAll("input").forEach((input) => { input.value = 0; });
      const row = this.rows.get(order.id);
      if (row) this.offer(order.id, row);
    } catch (error) {
      this.answer(error.status >= 500 ? `It is not known whether this was ordered: ${error.message}. See the list.` : `Not ordered: ${error.message}`, "lost");
    }
    this.placing = null;
    keptHere.write("wish", null);
    this.sum();
  },
};

function beginOrders() {
  at("orders").append(orders.none());
  at("shop").onsubmit = (event) => {
    event.preventDefault();
    const items = orders.wanted();
    if (items.length && !orders.placing) orders.place({ key: `page-${random(12)}`, items });
  };
  orders.stock();
  const on = { database: (at) => origin.isOther(at), order: orders.take };
  orders.again = follow("orders", orders.url, { open: orders.open, lost: () => { orders.lost = true; }, on });
  const wish = keptHere.read("wish");
  if (wish) orders.place(wish);
}

// --- the loop ----------------------------------------------------------------------------------------------------------

const PHASES = ["timers", "pending", "idle", "prepare", "poll", "check", "close"];
const HISTORY = 60;
const SVG = "http://www.w3.org/2000/svg";

const loop = {
  past: [], // samples, oldest first
  interval: 500,
  heard: 0,
  lanes: new Map(),
  glows: new Map(),
  pid: null,

  begin() {
    const lanes = at("lanes"), ring = at("ring");
    PHASES.forEach((phase, index) => {
      const lane = make("div", "lane");
      lane.setAttribute("role", "listitem");
      lane.style.setProperty("--hue", `var(--${phase})`);
      const [canvas, calls, figure] = [make("canvas"), make("small"), make("span", "figure", "–")];
      canvas.setAttribute("aria-hidden", "true");
      lane.append(make("b", "", phase), canvas, calls, figure);
      lanes.append(lane);
      this.lanes.set(phase, { canvas, calls, figure });
      this.glows.set(phase, this.arc(ring, index, phase));
    });
    const hand = document.createElementNS(SVG, "g");
    const dot = document.createElementNS(SVG, "circle");
    hand.setAttribute("class", "hand");
    for (const [key, value] of Object.entries({ cx: 100, cy: 12, r: 8 })) dot.setAttribute(key, value);
    hand.append(dot);
    ring.append(hand);
    addEventListener("resize", () => this.draw());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    setInterval(() => this.listen(), 100);
    follow("loop", () => "api/loop/events", { on: { loop: (sample) => this.take(sample) } });
  },

  /** One phase's piece of the ring, and the same again to glow above it. */
  arc(ring, index, phase) {
    const angle = (turn) => [100 + 88 * Math.sin(2 * Math.PI * turn), 100 - 88 * Math.cos(2 * Math.PI * turn)].map((x) => x.toFixed(2)).join(" ");
    const [from, to] = [(index + 0.05) / PHASES.length, (index + 0.95) / PHASES.length];
    const paths = ["track", "glow"].map((kind) => {
      const path = document.createElementNS(SVG, "path");
      path.setAttribute("class", kind);
      path.setAttribute("d", `M ${angle(from)} A 88 88 0 0 1 ${angle(to)}`);
      path.style.stroke = `var(--${phase})`;
      ring.append(path);
      return path;
    });
    return paths[1];
  },

  take(sample) {
    this.heard = performance.now();
    this.interval = sample.interval_ms || 500;
    this.past.push(sample);
    this.past.splice(0, this.past.length - HISTORY);
    const { worker, pid } = sample;
    if (this.pid !== null && this.pid !== pid) link.tell(`Another process answers now: ${pid}, before it was ${this.pid}.`);
    this.pid = pid;
    at("served").textContent = `worker ${worker} · process ${pid}`;
    document.body.dataset.loopEvents = Number(document.body.dataset.loopEvents ?? 0) + 1;
    this.draw();
  },

  /** Notices that the loop says nothing: it should, twice a second. */
  listen() {
    const silent = this.heard ? performance.now() - this.heard : 0;
    const stalled = silent > 700 && Object.values(link.up).every(Boolean);
    document.body.classList.toggle("away", !link.up.loop && this.heard > 0);
    if (stalled !== document.body.classList.contains("stalled")) document.body.classList.toggle("stalled", stalled);
    if (!stalled) return;
    at("loop-note").textContent = `Nothing heard for ${(silent / 1000).toFixed(1)} s: the loop stands still`;
    at("busy").textContent = `${(silent / 1000).toFixed(1)} s`;
    at("busy-what").textContent = "standing still";
    at("turns").textContent = "";
  },

  draw() {
    const now = this.past.at(-1);
    if (!now) return;
    this.drawTurn(now);
    this.drawLanes();
    this.drawDelay();
    this.drawPool(now.pool);
    this.drawProcess(now);
  },

  drawTurn(now) {
    const worst = Math.max(...this.past.slice(-8).map((sample) => sample.delay?.max_ms ?? 0));
    at("loop-note").textContent = worst > 100 ? `It just stood still for ${ms(worst)}` : "What one thread did in the last half minute";
    at("busy").textContent = `${Math.round(now.utilization * 100)} %`;
    at("busy-what").textContent = "busy";
    at("turns").textContent = `${Math.round((now.turns * 1000) / this.interval).toLocaleString()} turns/s`;
    for (const phase of PHASES) {
      const share = of(now, phase) / this.interval;
      this.glows.get(phase).style.opacity = share > 0 ? Math.min(1, 0.25 + Math.sqrt(share)) : 0;
    }
    const busiest = [...PHASES].sort((a, b) => of(now, b) - of(now, a))[0];
    at("ring").setAttribute("aria-label", `The loop was busy for ${Math.round(now.utilization * 100)} percent of the time, most in ${busiest}`);
  },

  drawLanes() {
    const now = this.past.at(-1);
    for (const phase of PHASES) {
      const { canvas, calls, figure } = this.lanes.get(phase);
      const spent = of(now, phase);
      const count = now.phases?.find(({ name }) => name === phase)?.callbacks ?? 0;
      calls.textContent = count ? plural(count, "call") : "";
      figure.textContent = spent > 0 ? ms(spent) : "–";
      figure.classList.toggle("hot", spent > this.interval * 0.1);
      bars(canvas, this.past.map((sample) => of(sample, phase)));
    }
  },

  drawDelay() {
    const now = this.past.at(-1).delay ?? {};
    at("delay-p50").textContent = ms(now.p50_ms ?? 0);
    at("delay-p99").textContent = ms(now.p99_ms ?? 0);
    at("delay-max").textContent = ms(Math.max(...this.past.map((sample) => sample.delay?.max_ms ?? 0)));
    const sums = new Map();
    for (const sample of this.past) {
      for (const { le_ms, count } of sample.delay?.buckets ?? []) sums.set(le_ms, (sums.get(le_ms) ?? 0) + count);
    }
    const top = Math.max(1, ...sums.values());
    const bounds = [...sums.keys()];
    at("delay-bars").replaceChildren(...bounds.map((bound, index) => {
      const count = sums.get(bound), over = bound === null ? bounds[index - 1] : bound;
      const column = make("div", count === 0 ? "none" : over > 200 || bound === null ? "bad" : over > 20 ? "late" : "");
      const bar = make("i");
      bar.style.height = `${count === 0 ? 0 : Math.max(4, 100 * Math.sqrt(count / top))}%`;
      column.append(bar, make("span", "", bound === null ? "+" : bound >= 1000 ? `${bound / 1000} s` : String(bound)));
      return column;
    }));
    at("delay-bars").setAttribute("aria-label", bounds.map((bound) => `${sums.get(bound)} up to ${bound ?? "any"} ms`).join(", "));
  },

  drawPool(pool) {
    if (!pool) return;
    at("pool-workers").textContent = `${plural(pool.workers, "worker")} of ${pool.workers_max}, ${pool.idle} idle`;
    const busy = pool.workers - pool.idle;
    at("pips").replaceChildren(...Array.from({ length: Math.min(16, pool.workers_max) }, (_, index) => make("i", index < busy ? "busy" : index < pool.workers ? "there" : "")));
    const longest = Math.max(8, ...pool.classes.map((one) => one.queued));
    at("pool").replaceChildren(...pool.classes.map((one) => {
      const row = make("tr");
      const name = make("th", "", one.name);
      name.scope = "row";
      const cell = (value, className = "") => make("td", className, String(value));
      const queued = cell(one.queued, one.queued ? "queue some" : "queue");
      queued.style.setProperty("--share", `${(100 * one.queued) / longest}%`);
      const pair = (p50, p99) => {
        const made = cell(one.completed ? short(p50) : "–");
        if (one.completed) made.append(make("small", "", ` ${short(p99)}`));
        return made;
      };
      const done = cell(one.completed.toLocaleString());
      if (one.rejected) done.append(make("small", "", ` (${one.rejected} refused)`));
      row.append(name, cell(one.running, one.running ? "some" : ""), queued, done, pair(one.wait_p50_ms, one.wait_p99_ms), pair(one.run_p50_ms, one.run_p99_ms));
      return row;
    }));
  },

  drawProcess({ connections, sockets, sse, requests, rss_bytes }) {
    at("connections").textContent = (connections ?? 0).toLocaleString();
    at("sockets").textContent = (sockets ?? 0).toLocaleString();
    at("streams").textContent = ((sse?.orders ?? 0) + (sse?.loop ?? 0)).toLocaleString();
    at("requests").textContent = (requests ?? 0).toLocaleString();
    at("memory").textContent = `${(rss_bytes / 1048576).toFixed(1)} MiB`;
    line(at("memory-line"), this.past.map((sample) => sample.rss_bytes));
  },
};

/** What a phase took of a sample's interval. */
const of = (sample, phase) => sample.phases?.find(({ name }) => name === phase)?.ms ?? 0;
const short = (value) => (value >= 1000 ? `${(value / 1000).toFixed(1)} s` : value >= 10 ? `${value.toFixed(0)} ms` : value >= 1 ? `${value.toFixed(1)} ms` : `${Math.round(value * 1000)} µs`);

/** A canvas in the screen's own pixels, cleared. */
function surface(canvas) {
  const scale = devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
  if (canvas.width !== Math.round(width * scale)) canvas.width = Math.round(width * scale);
  if (canvas.height !== Math.round(height * scale)) canvas.height = Math.round(height * scale);
  const pen = canvas.getContext("2d");
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);
  return { pen, width, height };
}

/** Bars from the right, the newest last, as tall as the logarithm of their time: 20 µs is seen, and 500 ms is all. */
function bars(canvas, times) {
  const { pen, width, height } = surface(canvas);
  const shown = times.slice(-Math.max(1, Math.floor(width / 5))); // a bar is four pixels wide or more
  const step = Math.max(5, width / HISTORY);
  pen.fillStyle = getComputedStyle(canvas).color;
  shown.forEach((time, index) => {
    if (time <= 0) return;
    const tall = Math.max(2, Math.min(1, Math.log1p(time / 0.02) / Math.log1p(500 / 0.02)) * (height - 3));
    pen.fillRect(width - (shown.length - index) * step, height - tall, Math.max(1, step - 1.5), tall);
  });
}

function line(canvas, values) {
  const { pen, width, height } = surface(canvas);
  const [low, high] = [Math.min(...values) * 0.98, Math.max(...values) * 1.02];
  const x = (index) => width - ((values.length - 1 - index) * width) / (HISTORY - 1);
  const y = (value) => height - 3 - ((value - low) / (high - low || 1)) * (height - 6);
  pen.beginPath();
  values.forEach((value, index) => pen.lineTo(x(index), y(value)));
  pen.strokeStyle = pen.fillStyle = getComputedStyle(canvas).color;
  pen.lineWidth = 2;
  pen.lineJoin = "round";
  pen.stroke();
  pen.globalAlpha = 0.14;
  pen.lineTo(width, height);
  pen.lineTo(x(0), height);
  pen.fill();
  pen.globalAlpha = 1;
}

/** The two buttons that give the loop something to bear. */
function beginControls() {
  const press = (id, path, body, said) => {
    at(id).onclick = async () => {
      at(id).disabled = true;
      const answer = at("control-answer");
      answer.dataset.state = "";
      answer.textContent = "…";
      try { answer.textContent = said(await call("POST", path, { body })); }
      catch (error) {
        answer.dataset.state = "lost";
        answer.textContent = error.status === 404 ? "This server keeps its buttons to itself: LOOP_CONTROLS is off." : `It did not work: ${error.message}`;
      }
      at(id).disabled = false;
    };
  };
  press("load", "api/loop/load-pool", { jobs: 24, ms: 500 }, ({ queued }) => `${plural(queued, "job")} queued: watch the pool, and how little the delay minds.`);
  press("block", "api/loop/block", { ms: 1000 }, ({ blocked_ms }) => `The loop stood still for ${blocked_ms} ms: see the worst delay, and the lane it was in.`);
}

// --- the views of a small screen ---------------------------------------------------------------------------------------

function beginTabs() {
  const tabs = document.querySelectorAll("[data-go]");
  const go = (view) => {
    document.body.dataset.view = view;
    tabs.forEach((tab) => (tab.dataset.go === view ? tab.setAttribute("aria-current", "page") : tab.removeAttribute("aria-current")));
    kept.write("view", view);
    loop.draw();
    chat.stay();
  };
  tabs.forEach((tab) => { tab.onclick = () => { go(tab.dataset.go); scrollTo(0, 0); }; });
  const view = location.hash.slice(1) || kept.read("view");
  if (["chat", "orders", "loop"].includes(view)) go(view);
}

beginChat();
const socket = new Socket({
  welcome(recovered) {
    // A session that was recovered is in its room still, and what it missed comes as events; a new one joins and asks, and so does
    // one whose room or name was changed meanwhile.
    if (!recovered || !chat.isIn) return chat.join();
    if (chat.lost) link.tell("Chat: the session was resumed.");
    chat.lost = false;
    link.set("chat", true);
    chat.flush();
  },
  lost() {
    chat.lost ||= link.up.chat;
    own.on = false;
    link.set("chat", false);
  },
  message: (message) => chat.show(message),
  members: (members) => chat.members(members),
  typing: (typing) => chat.typing(typing),
  again: () => chat.again(),
});
beginOrders();
loop.begin();
beginControls();
beginTabs();
