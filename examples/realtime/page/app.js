// The page of the realtime service: chat by Socket.IO, orders and the loop by server-sent events. No library and no build step.

import { kept } from "./base.js";
import { beginChat, chat } from "./chat.js";
import { beginOrders } from "./orders.js";
import { beginControls, loop } from "./loop.js";

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
beginOrders();
loop.begin();
beginControls();
beginTabs();
