// The npm package eventsource as a client: `node eventsource.cjs URL LAST`. Prints what it was told, one event a line, up to the
// event LAST.
"use strict";
const { EventSource } = require("eventsource");

const source = new EventSource(process.argv[2]);
source.onmessage = (event) => {
  console.log(`${event.lastEventId} ${event.data}`);
  if (event.data === process.argv[3]) source.close();
};
