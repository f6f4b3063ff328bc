// Drives the page of the realtime service in Chromium: two people, one server that is ended and started again.
// Arguments: the program of the service, a free port, a folder for its data, Chromium, and the names of stores, which whoever runs
// this kills and starts on lines such as `please kill redis`, and then says `done`. Prints `ok ...` for what holds; ends with 1 at the
// first that does not. With SHOTS=folder it leaves pictures there. WORKERS and what concerns stores is passed on to the service; with
// several workers the buttons of the loop, which any of them may answer, are left out, and so is TLS.
"use strict";

const { spawn } = require("node:child_process");
const { once } = require("node:events");
const { createInterface } = require("node:readline");
const { rmSync } = require("node:fs");
const { chromium } = require("playwright-core");

const [program, port, data, executablePath, ...stores] = process.argv.slice(2);
const { WORKERS = "1" } = process.env;
const DESKTOP = { viewport: { width: 1280, height: 800 }, colorScheme: "light" };
const PHONE = { viewport: { width: 390, height: 844 }, colorScheme: "dark", hasTouch: true, reducedMotion: "reduce" };

const ok = (what) => console.log(`ok ${what}`);
function equal(found, expected, what) {
  const [a, b] = [JSON.stringify(found), JSON.stringify(expected)];
  if (a !== b) throw new Error(`${what}: ${a}, expected ${b}`);
  ok(what);
}

// --- the service -------------------------------------------------------------------------------------------------------

class Service {
  constructor(name, environment = {}) { this.database = `${data}/${name}.db`; this.environment = environment; }

  /** Starts it and waits until it says where to open it. */
  async start() {
    const env = { PATH: process.env.PATH, PORT: port, DATABASE_URL: `sqlite:${this.database}`, RATE_LIMIT_PER_S: "0", WORKERS };
    for (const name of ["DATABASE_URL", "MONGODB_URL", "REDIS_URL", "DATABASE_WAIT_MS", "STORE_ANSWER_MS"]) {
      if (process.env[name]) env[name] = process.env[name];
    }
    Object.assign(env, this.environment);
    this.child = spawn(program, { env, stdio: ["ignore", "pipe", "pipe"], cwd: data });
    this.ended = once(this.child, "exit");
    this.child.stderr.on("data", (text) => process.env.SERVER_LOG && process.stderr.write(text));
    for await (const line of createInterface({ input: this.child.stdout })) {
      const url = /^open (\S+)/.exec(line)?.[1];
      if (url) return url;
    }
    throw new Error(`the service ended before it said where it listens: ${await this.ended}`);
  }

  async end(signal) {
    this.child.kill(signal);
    return (await this.ended)[0];
  }
}

const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** Has a store killed or started. */
async function please(what, store) {
  console.log(`please ${what} ${store}`);
  const { value } = await answers.next();
  if (value !== "done") throw new Error(`${store} was not to be ${what}ed: ${value}`);
}

// --- people ------------------------------------------------------------------------------------------------------------

const trouble = [];

async function visit(browser, url, name, options) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(120000); // a machine that builds something else is slow
  const origin = new URL(url).host;
  page.on("pageerror", (error) => trouble.push(`${name}: ${error.message}`));
  page.on("console", (message) => {
    // A server that is away is reported by the browser itself.
    if (message.type() === "error" && !/ERR_|WebSocket|Failed to load resource|EventSource/.test(message.text())) trouble.push(`${name}: ${message.text()}`);
  });
  page.on("request", (request) => {
    const { host, protocol } = new URL(request.url());
    if (protocol !== "data:" && host !== origin) trouble.push(`${name} asked ${request.url()}`);
  });
  page.on("dialog", (dialog) => { trouble.push(`${name}: somebody's text ran`); void dialog.dismiss(); });
  await page.addInitScript((name) => { if (!localStorage.getItem("realtime.name")) localStorage.setItem("realtime.name", JSON.stringify(name)); }, name);
  await page.goto(url);
  await live(page);
  return page;
}

/** Waits until all is live, and has what the page's modules export at hand, as its own scripts do. */
async function live(page) {
  await page.locator("#state[data-state=live]").waitFor();
  await page.evaluate(async () => {
    const modules = ["account", "base", "calls", "chat", "link", "orders"];
    for (const name of modules) Object.assign(window, await import(`/${name}.js`));
  });
}
const lost = (page) => page.locator("#state[data-state=lost]").waitFor();
const view = async (page, name) => { if (await page.locator(".tabs").isVisible()) await page.click(`[data-go=${name}]`); };
const shows = (page, selector, text) => page.locator(selector, { hasText: text }).first().waitFor();
const said = (page, count) => page.waitForFunction((count) => document.querySelectorAll("#messages li:not(.note):not(.waiting)").length === count, count);
const rows = (page, count) => page.waitForFunction((count) => document.querySelectorAll("#orders li[data-order]").length === count, count);
const enter = (page, room) => page.locator("#rooms label", { hasText: room }).click();
const messages = (page) => page.locator("#messages li:not(.note) .body").allTextContents();
const listed = (page) => page.$$eval("#orders li[data-order]", (rows) => rows.map((row) => [Number(row.dataset.order), row.querySelector(".steps b").textContent]));

async function say(page, text) {
  await view(page, "chat");
  await page.fill("#text", text);
  await page.press("#text", "Enter");
}

async function shot(page, name, fullPage = true) {
  if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/${name}.png`, fullPage });
}

// --- what is shown -----------------------------------------------------------------------------------------------------

async function talk(ada, grace) {
  await shows(ada, "#count", "2 people here");
  ok("both see that two are in the room");
  await view(grace, "chat");
  const text = "<img src=x onerror=alert(1)> & <b>not bold</b>";
  await grace.fill("#text", text);
  // Where something else is under way it may be lost, and is told again until it is seen.
  let isSeen = false;
  const seen = shows(ada, "#typing", "grace is typing").then(() => { isSeen = true; });
  while (!isSeen) await Promise.race([seen, grace.evaluate(() => fetch("api/health").then(() => own.tell(true)))]);
  ok("ada sees that grace types");
  await grace.press("#text", "Enter");
  await shows(ada, "#messages .body", text);
  await ada.waitForFunction(() => document.getElementById("typing").textContent === "");
  ok("the message comes, as text, and the typing ends");
  await say(ada, "seen");
  await shows(grace, "#messages .body", "seen");
  equal(await messages(ada), [text, "seen"], "ada has both messages, once");
  equal(await messages(grace), [text, "seen"], "grace has both messages, once");
  await enter(grace, "rust");
  await shows(ada, "#count", "Only you are here");
  ok("who goes to another room is missing here");
  await enter(grace, "lobby");
  await shows(ada, "#count", "2 people here");
  await said(grace, 2);
  ok("who comes back finds what was said");
}

async function order(page, name, count = 1) {
  await view(page, "orders");
  const more = page.getByRole("button", { name: `One ${name} more` });
  for (let clicks = 0; clicks < count; clicks++) await more.click();
  await page.click("#order");
}

/** Has the first request to a path be answered otherwise than the server does, once that has done it. */
const spoil = (page, path, answer) => page.route(`**${path}`, async (route) => { await route.fetch(); await answer(route); }, { times: 1 });

async function buy(ada, grace) {
  await spoil(ada, "/api/users", (route) => route.abort());
  await spoil(ada, "/api/orders", (route) => route.fulfill({ status: 500, body: "<html>" }));
  await order(ada, "Espresso beans, 1 kg", 2);
  await shows(ada, "#order-answer", "is placed");
  await shows(ada, "#orders [data-order='1'] .steps b", "pending");
  equal((await listed(ada)).map(([id]) => id), [1], "an account and an order whose answers were lost are made once");
  await view(grace, "orders");
  for (const [button, status] of [[null, "pending"], ["pay", "paid"], ["ship", "shipped"]]) {
    if (button) await ada.getByRole("button", { name: `${button} order 1` }).click();
    await shows(grace, "#orders [data-order='1'] .steps b", status);
    await shows(ada, "#orders [data-order='1'] .steps b", status);
    ok(`both see order 1 ${status}`);
  }
  equal([await ada.locator("#order-news").textContent(), await grace.locator("#order-news").textContent()], ["Order 1 is shipped", ""], "an order is read aloud to its owner alone");
  equal(await grace.locator("#orders [data-order='1'] .doing button").count(), 0, "grace can do nothing to ada's order");
}

/** The server ends by `signal` while both go on; then it comes back. */
async function interrupt(service, signal, ada, grace) {
  const [before, ordered] = [await messages(ada), (await listed(ada)).length];
  const code = await service.end(signal);
  if (signal === "SIGTERM") equal(code, 0, "the service ends in order");
  await Promise.all([lost(ada), lost(grace)]);
  await shows(ada, "#notice", "The connection was lost");
  ok(`both pages say that the connection is lost (${signal})`);
  const words = [`ada while away (${signal})`, `ada again (${signal})`];
  for (const text of words) await say(ada, text);
  await ada.locator("#messages li.waiting", { hasText: words[1] }).waitFor();
  await order(grace, "Hand grinder");
  await shows(grace, "#order-answer", "under the same key");
  ok("what is written and ordered meanwhile waits");
  await shot(ada, `away-${signal}-desktop`);
  await service.start();
  await Promise.all([live(ada), live(grace)]);
  await shows(grace, "#order-answer", "is placed");
  for (const page of [ada, grace]) {
    await said(page, before.length + 2);
    await rows(page, ordered + 1);
    equal(await messages(page), [...before, ...words], `all messages are there, once and in order (${signal})`);
    equal((await listed(page)).map(([id]) => id), Array.from({ length: ordered + 1 }, (_, index) => ordered + 1 - index), `all orders are there, once (${signal})`);
    await page.locator("#notice", { hasText: "Back after" }).waitFor();
    for (const part of ["Chat: ", "Orders: ", "Another process answers now"]) await shows(page, "#notice", part);
    equal(await page.locator("#orders-note").textContent(), "Everybody's, live", `no event is missing (${signal})`);
  }
  ok(`both pages say what they caught up with (${signal})`);
  await shot(ada, `back-${signal}-desktop`);
}

/** What was written in a room is sent in that room, also if its writer went on to another while the server was away, and over a reload;
 * and what was said before is no sign that the same was sent again. */
async function elsewhere(service, ada, grace) {
  const before = await messages(grace);
  await service.end("SIGKILL");
  await lost(ada);
  await say(ada, before[1]);
  await enter(ada, "rust");
  await shows(ada, "#messages .note", "1 message of yours in another room waits");
  await say(ada, "of rust");
  await service.start();
  await Promise.all([live(ada), live(grace)]);
  await said(ada, 1);
  equal(await messages(ada), ["of rust"], "the other room has what was written there");
  await ada.reload();
  await live(ada);
  await said(ada, 1);
  equal(await ada.locator("#rooms small:not(:empty)").allTextContents(), ["1"], "a reload keeps what waits for a room, and tells of it");
  await enter(ada, "lobby");
  for (const page of [ada, grace]) {
    await said(page, before.length + 1);
    equal(await messages(page), [...before, before[1]], "and the first room what was written in it");
  }
  equal(await ada.locator("#rooms small:not(:empty)").count(), 0, "nothing waits any more");
}

/** More orders than are listed. An old one that changes takes its place among them, or none. */
async function many(ada, grace) {
  const made = await ada.evaluate(async () => {
    const ids = [];
    while (ids.length < 45) {
      const body = { items: [{ product: 2, quantity: 1 }] };
      const { order } = await account.using((token) => insist("POST", "api/orders", { body, token, key: `many-${random(8)}` }));
      ids.push(order.id);
    }
    return ids;
  });
  const cancel = (order) => ada.evaluate((order) => account.using((token) => insist("POST", `api/orders/${order}/cancel`, { token })), order);
  const [first] = made;
  await Promise.all([rows(ada, 40), rows(grace, 40)]);
  await cancel(first);
  await shows(ada, "#order-news", `Order ${first} is cancelled`);
  await grace.waitForFunction((last) => orders.last >= last, await ada.evaluate(() => orders.last));
  equal((await listed(grace)).map(([id]) => id), made.slice(5).reverse(), "an order that is too old to be listed takes nobody's place");
  await grace.reload();
  await live(grace);
  await rows(grace, 20);
  await cancel(made[4]);
  await grace.locator(`#orders [data-order="${made[4]}"]`).waitFor({ state: "attached" });
  const ids = (await listed(grace)).map(([id]) => id);
  equal(ids, [...ids].sort((a, b) => b - a), "an older order that changes stands below the newer ones");
}

/** Two tabs of one browser: what waits in one is not lost by the other, nor sent twice by its copy. */
async function tabs(browser, service, url, ada) {
  const first = await visit(browser, url, "eve", DESKTOP);
  const second = await first.context().newPage();
  await second.goto(url);
  await live(second);
  const before = (await messages(first)).length;
  await first.waitForFunction((last) => orders.last >= last, await ada.evaluate(() => orders.last));
  const [last] = (await listed(first))[0];
  for (const [page, product] of [[first, "Hand grinder"], [second, "Cup, white"]]) {
    await page.route("**/api/orders", (route) => route.abort());
    await order(page, product);
    await shows(page, "#order-answer", "under the same key");
  }
  for (const page of [first, second]) {
    await page.unroute("**/api/orders");
    await page.reload();
    await shows(page, "#order-answer", "is placed");
    await live(page);
  }
  await first.waitForFunction((count) => orders.last >= count, await second.evaluate(() => orders.last));
  equal((await listed(first))[0][0], last + 2, "each of two tabs places its order");

  await first.route("**/api/orders", (route) => route.fulfill({ status: 500, body: "{}" }));
  await order(first, "Cup, white");
  await shows(first, "#order-answer", "It is not known whether this was ordered");
  await first.unroute("**/api/orders");
  ok("what fails and fails is not asked for ever");

  await service.end("SIGKILL");
  await Promise.all([lost(first), lost(second)]);
  await say(first, "of two tabs");
  const outbox = await first.evaluate(() => sessionStorage.getItem("realtime.outbox"));
  await second.evaluate((outbox) => {
    sessionStorage.setItem("realtime.outbox", outbox);
    chat.restore();
  }, outbox);
  await service.start();
  for (const page of [first, second]) {
    await live(page);
    await said(page, before + 1);
    await page.waitForFunction(() => chat.outbox.length === 0);
  }
  equal((await messages(second)).slice(before), ["of two tabs"], "what two tabs have to send is said once");
  await first.context().close();
}

/** A server that goes away without a word: its connections stay. */
async function silence(browser, service, url) {
  const context = await browser.newContext(DESKTOP);
  const page = await context.newPage();
  page.setDefaultTimeout(120000);
  await page.clock.install();
  await page.goto(url);
  await live(page);
  await page.waitForFunction(() => Number(document.body.dataset.loopEvents) > 0);
  service.child.kill("SIGSTOP");
  await page.clock.fastForward(50000);
  equal(await page.evaluate(() => link.up), { chat: false, orders: false, loop: false }, "who hears nothing notices");
  service.child.kill("SIGCONT");
  await page.clock.runFor(10000);
  await live(page);
  ok("and is back when there is somebody again");
  await context.close();
}

/** Another database: its ids begin anew. */
async function reset(service, ada, grace) {
  await service.end("SIGTERM");
  for (const end of ["", "-wal", "-shm"]) rmSync(`${service.database}${end}`, { force: true });
  await service.start();
  await Promise.all([live(ada), live(grace)]);
  await shows(ada, "#notice", "The database is another one");
  await Promise.all([rows(ada, 0), rows(grace, 0), said(ada, 0), said(grace, 0)]);
  await say(ada, "a new beginning");
  await order(ada, "Cup, white");
  for (const page of [ada, grace]) {
    await said(page, 1);
    await rows(page, 1);
    equal([await messages(page), await listed(page)], [["a new beginning"], [[1, "pending"]]], "of another database, all is shown from its beginning");
  }
}

/** Each store is killed under the pages, and comes back. */
async function withoutStores(ada, grace) {
  const before = await messages(ada);
  const ordered = (await listed(ada)).length;
  const [top] = (await listed(ada))[0];
  await please("kill", "redis");
  await say(ada, "without Redis");
  await order(ada, "Cup, white");
  await shows(ada, "#order-answer", `Order ${top + 1} is placed`);
  await ada.getByRole("button", { name: `pay order ${top + 1}` }).click();
  await shows(grace, `#orders [data-order='${top + 1}'] .steps b`, "pending");
  ok("without Redis people order, and both see it");
  await please("start", "redis");
  await shows(grace, `#orders [data-order='${top + 1}'] .steps b`, "paid");
  ok("what was to be paid meanwhile is paid");
  await said(grace, before.length + 1);
  ok("what was said meanwhile is heard at other workers too");

  await please("kill", "mariadb");
  await say(ada, "without MariaDB");
  await order(grace, "Hand grinder");
  await shows(grace, "#order-answer", "under the same key");
  await ada.locator("#messages li.waiting", { hasText: "without MariaDB" }).waitFor();
  equal(await ada.evaluate(() => fetch("api/products").then((answer) => [answer.status, answer.headers.get("retry-after")])), [503, "1"], "without MariaDB there are 503s, and all that is written waits");
  await please("start", "mariadb");
  await shows(grace, "#order-answer", "is placed");
  for (const page of [ada, grace]) {
    await said(page, before.length + 2);
    await rows(page, ordered + 2);
    equal(await messages(page), [...before, "without Redis", "without MariaDB"], "all messages are there, once and in order");
    equal(await page.locator("#orders-note").textContent(), "Everybody's, live", "no event is missing");
  }

  const feed = (method, body) => ada.evaluate(([method, body]) => account.using((token) => call(method, "api/feed", { token, body })).catch((error) => error.status), [method, body]);
  const { post } = await feed("POST", { text: "of the feed", tags: [] });
  await please("kill", "secantus");
  equal(await feed("GET"), 503, "without SecantusDB there is no feed");
  await please("start", "secantus");
  await ada.waitForFunction(() => call("GET", "api/feed").catch(() => false));
  equal((await feed("GET")).posts, [post], "and then it is there as it was");
}

async function burden(ada, grace) {
  await view(grace, "loop");
  await grace.waitForFunction(() => Number(document.body.dataset.loopEvents) > 2);
  equal(await grace.locator(".lane b").allTextContents(), ["timers", "pending", "idle", "prepare", "poll", "check", "close"], "the lanes are the phases of a turn");
  await ada.click("#load");
  await shows(ada, "#control-answer", "24 jobs queued");
  await ada.waitForFunction(() => [...document.querySelectorAll("#pool tr")].some((row) => row.cells[0].textContent === "cpu" && Number(row.cells[2].textContent) > 0));
  ok("the queue of the pool is seen");
  await shot(ada, "load-desktop");
  await grace.evaluate(() => {
    window.stalled = new Promise((seen) => {
      new MutationObserver(() => { if (document.body.classList.contains("stalled")) seen(); }).observe(document.body, { attributes: true });
    });
  });
  await grace.click("#block");
  await grace.evaluate(() => window.stalled); // looking now and then could miss it
  ok("a loop that stands still is seen to, while it does");
  await shot(grace, "stalled-phone", false);
  await shows(grace, "#control-answer", /The loop stood still for \d{4} ms/);
  await grace.waitForFunction(() => /^(9\d\d ms|[1-9]\d*\.\d\d s)$/.test(document.getElementById("delay-max").textContent));
  ok("the delay of the blocked loop is in the histogram");
  await shows(grace, "#loop-note", "It just stood still for");
  await shot(grace, "loop-phone");
}

// --- how it is shown ---------------------------------------------------------------------------------------------------

/** Text below 4.5 to 1 against what is behind it, controls without a name, and what is wider than the screen. */
function faults() {
  const parse = (text) => { const [r, g, b, a = 1] = text.match(/[\d.]+/g).map(Number); return [r, g, b, a]; };
  const light = ([r, g, b]) => [r, g, b].map((part) => part / 255).map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour[3] === 1) return colour;
    }
    return [255, 255, 255, 1];
  };
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    if (!element.checkVisibility({ visibilityProperty: true }) || element.closest(".hidden, .skip, :disabled, .waiting, .fresh")) continue;
    if ([...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim())) {
      const [a, b] = [light(parse(getComputedStyle(element).color)), light(behind(element))];
      const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
      if (contrast < 4.5) found.push(`${contrast.toFixed(2)} to 1: ${element.tagName} ${element.className} “${element.textContent.slice(0, 30)}”`);
    }
    if (element.matches("button, input, a") && !(element.getAttribute("aria-label") || element.labels?.[0]?.textContent.trim() || element.textContent.trim())) {
      found.push(`no name: ${element.outerHTML.slice(0, 80)}`);
    }
  }
  const over = document.documentElement.scrollWidth - innerWidth;
  if (over > 0) found.push(`${over} pixels too wide`);
  return found;
}

async function looks(page, name) {
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    for (const part of ["chat", "orders", "loop"]) {
      await view(page, part);
      equal(await page.evaluate(faults), [], `${name}, ${colorScheme}, ${part}: readable, named, and not too wide`);
      if (name === "phone" || part === "chat") await shot(page, `${name}-${part}-${colorScheme}`);
    }
  }
}

/** What is read aloud of all that moves: nothing, while nobody does anything. */
async function aloud(page) {
  await shows(page, "#count", "2 people here");
  equal(await page.getByRole("log").getByRole("list").getAttribute("id"), "messages", "the log of messages is a list");
  const spoken = await page.evaluate(() => new Promise((done) => {
    const spoken = [];
    const watching = new MutationObserver((changes) => spoken.push(...changes.map(({ target }) => target.parentElement.outerHTML.slice(0, 80))));
    for (const live of document.querySelectorAll("[aria-live], output, [role=status], [role=log], [role=alert]")) {
      watching.observe(live, { childList: true, characterData: true, subtree: true });
    }
    const count = () => Number(document.body.dataset.loopEvents);
    const last = count() + 5;
    new MutationObserver((_, self) => {
      if (count() < last) return;
      self.disconnect();
      watching.disconnect();
      done(spoken);
    }).observe(document.body, { attributes: true });
  }));
  equal(spoken, [], "no live region changes by itself");
}

async function keyboard(page) {
  await page.locator("#text").focus();
  await page.keyboard.type("by keyboard alone");
  await page.keyboard.press("Enter");
  await shows(page, "#messages .body", "by keyboard alone");
  await page.locator("#rooms input:checked").focus();
  await page.keyboard.press("ArrowRight");
  await shows(page, "#count", "Only you are here");
  equal(await page.locator("#rooms input:checked").inputValue(), "rust", "rooms are chosen with the arrow keys");
}

// --- all of it ---------------------------------------------------------------------------------------------------------

async function main(browser) {
  let service = new Service("plain");
  let url = await service.start();
  const [ada, grace] = [await visit(browser, url, "ada", DESKTOP), await visit(browser, url, "grace", PHONE)];
  ok("two pages are live");
  await talk(ada, grace);
  await buy(ada, grace);
  await interrupt(service, "SIGTERM", ada, grace);
  await interrupt(service, "SIGKILL", ada, grace);
  await elsewhere(service, ada, grace);
  if (stores.includes("mariadb")) await withoutStores(ada, grace);
  await many(ada, grace);
  if (WORKERS === "1") {
    await tabs(browser, service, url, ada);
    await silence(browser, service, url);
    await Promise.all([live(ada), live(grace)]);
    await burden(ada, grace);
  }
  await aloud(ada);
  await looks(ada, "desktop");
  await looks(grace, "phone");
  await keyboard(ada);
  if (WORKERS === "1") await enter(ada, "lobby"), await reset(service, ada, grace);
  equal(trouble, [], "no script failed, and nothing was asked of anybody else");
  await Promise.all([ada.context().close(), grace.context().close()]);
  equal(await service.end("SIGTERM"), 0, "the service ends in order");

  if (WORKERS !== "1") return;
  service = new Service("tls", { TLS: "dev" });
  url = await service.start();
  const [eve, joan] = [await visit(browser, url, "ada", DESKTOP), await visit(browser, url, "grace", PHONE)];
  equal(await eve.evaluate(() => [location.protocol, performance.getEntriesByType("navigation")[0].nextHopProtocol]), ["https:", "h2"], "the page comes by HTTP/2 over TLS");
  await talk(eve, joan);
  await buy(eve, joan);
  await interrupt(service, "SIGTERM", eve, joan);
  equal(trouble, [], "no script failed over TLS");
  await service.end("SIGTERM");
}

let running;
const spawned = Service.prototype.start;
Service.prototype.start = function () { running = this; return spawned.call(this); };
/** Leaves nothing behind: the browser ends with this process. */
function finish(code, what) {
  console.log(what);
  running?.child?.kill("SIGKILL");
  process.exit(code);
}
// A test that hangs is worse than one that fails, and one that nobody waits for has no end.
setTimeout(() => finish(1, "not ok: it took longer than ten minutes"), 600000).unref();
process.stdin.on("end", () => finish(1, "not ok: nobody waits for this any more"));
chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-dev-shm-usage"] })
  .then(async (browser) => { await main(browser); await browser.close(); ok("all"); process.exit(0); })
  .catch((error) => finish(1, `not ok: ${error.stack}\n${trouble.join("\n")}`));
