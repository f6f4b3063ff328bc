// The database behind all that is shown.

import { link } from "./link.js";
import { chat } from "./chat.js";
import { account } from "./account.js";
import { orders } from "./orders.js";

/** Which database tells. The ids of another one begin anew, and so does all that is known by them. */
export const origin = {
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
