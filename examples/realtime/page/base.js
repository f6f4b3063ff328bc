// What all parts of the page use: elements, times, words, and what is kept in the browser.
// What people wrote is only ever set as text, never as markup.

export const at = (id) => document.getElementById(id);
export const make = (tag, className = "", text = "") => {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
};
/** Text of a place that is read aloud: said again only if it is another one. */
export const say = (place, text) => { if (place.textContent !== text) place.textContent = text; };
export const later = (ms, f) => setTimeout(f, ms);
/** How long to wait before the `tries`-th try: longer each time, and not all clients at once. */
export const patience = (tries) => Math.min(5000, 250 * 2 ** tries) * (0.75 + Math.random() / 2);
export const money = (cents) => (cents / 100).toLocaleString(undefined, { minimumFractionDigits: 2, maximumFractionDigits: 2 });
export const clock = (at) => new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
export const ms = (value) => (value >= 1000 ? `${(value / 1000).toFixed(2)} s` : `${value.toFixed(value >= 10 ? 0 : value >= 1 ? 1 : 2)} ms`);
export const plural = (count, one, many = `${one}s`) => `${count} ${count === 1 ? one : many}`;
export const random = (bytes) => [...crypto.getRandomValues(new Uint8Array(bytes))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
export const hue = (name) => `hsl(${[...name].reduce((sum, char) => (sum * 31 + char.codePointAt(0)) % 8191, 7) * 137.5} 60% 50%)`;

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
export const kept = keeper(() => localStorage);
/** The same of this tab alone. */
export const keptHere = keeper(() => sessionStorage);
