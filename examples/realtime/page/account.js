// Who orders.

import { kept, random } from "./base.js";
import { chat } from "./chat.js";
import { insist } from "./calls.js";

/** The visitor's account: made with the first order, and kept in this browser. */
export const account = {
  saved: kept.read("account"),
  get id() { return this.saved?.user.id; },
  async token(onWait) {
    this.saved ??= kept.read("account"); // another tab may have made one since
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
  /** The one that is kept may be another tab's, and good. */
  forget() {
    if (kept.read("account")?.token === this.saved?.token) kept.write("account", null);
    this.saved = null;
  },
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
