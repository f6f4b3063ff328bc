// Socket.IO.

import { later, patience } from "./base.js";

/** As much of Socket.IO as this page needs: events and acknowledgements over one WebSocket, which comes back with its session. */
export class Socket {
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
