// The chat: one room at a time, and what was written and is not sent yet.

import { at, clock, hue, kept, keptHere, later, make, plural, random, say } from "./base.js";
import { link } from "./link.js";
import { origin } from "./origin.js";
import { Socket } from "./socketio.js";

const ROOMS = ["lobby", "rust", "node"];
const SHOWN_MAX = 300;
const OUTBOX_MAX = 50;
/** How many messages before the newest are asked for again: they may be told in another order than they were stored in. */
const OVERLAP = 20;
/** How many messages a history behind an id has at most: there may be more behind such a one. */
const PAGE = 200;
/** How many ids are remembered of what is shown: as much as could be told again. */
const SEEN_MAX = 1000;

let socket;

export const chat = {
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
    say(at("count"), count === 1 ? "Only you are here" : `${count} people here`);
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
    say(at("typing"), names.length === 0 ? "" : names.length > 3 ? `${names.length} people are typing…`
      : `${names.join(", ")} ${names.length === 1 ? "is" : "are"} typing…`);
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
export const own = {
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

export function beginChat() {
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
  socket = new Socket({
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
}
