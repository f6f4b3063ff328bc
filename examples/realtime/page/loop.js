// The loop, as it tells of itself twice a second.

import { at, make, ms, plural } from "./base.js";
import { follow, link } from "./link.js";
import { call } from "./calls.js";
import { HISTORY, bars, line } from "./draw.js";

const PHASES = ["timers", "pending", "idle", "prepare", "poll", "check", "close"];
const SVG = "http://www.w3.org/2000/svg";

export const loop = {
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

/** The two buttons that give the loop something to bear. */
export function beginControls() {
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
