// Orders: the shop, and everybody's orders, live.

import { at, clock, keptHere, later, make, money, plural, random, say } from "./base.js";
import { follow, link } from "./link.js";
import { origin } from "./origin.js";
import { call, insist } from "./calls.js";
import { account } from "./account.js";

const LISTED_MAX = 40;
const STEPS = ["pending", "paid", "shipped"];

export const orders = {
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
    say(at("total"), money(cents));
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

export function beginOrders() {
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
