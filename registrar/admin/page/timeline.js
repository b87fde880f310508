// Draws when a backend was up and when it was not. How high a piece stands says it without colour.

import { age, drawn, element, say } from "./dom.js";

const WIDTH = 160;
const HEIGHT = 18;
const LEAST = 3;
const HEIGHTS = { up: 16, unknown: 9, down: 4 };

/** Return the place for the turns of one backend. */
export function timeline(label) {
  const summary = element("summary", {}, "");
  return element(
    "div",
    { "data-label": label },
    drawn("svg", { class: "timeline", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img" }),
    element("details", { class: "turns" }, summary, element("ol", { reversed: "" })),
  );
}

/** Have it show the turns, oldest first; `ago` adds the time since they were told. */
export function showTurns(place, turns, ago) {
  const [picture, details] = place.children;
  place.hidden = turns.length === 0;
  if (turns.length === 0) return;
  const ages = turns.map((turn) => ago(turn.age));
  const lines = turns.map((turn, index) => line(turn, ages[index], ages[index + 1]));
  picture.setAttribute("aria-label", `${place.dataset.label}: ${lines.at(-1)}`);
  picture.replaceChildren(...pieces(turns, ages));
  say(details.firstChild, turns.length === 1 ? "1 turn" : `${turns.length} turns`);
  details.lastChild.replaceChildren(...lines.reverse().map((text) => element("li", {}, text)));
}

function line(turn, begun, ended) {
  const how = ended === undefined ? `since ${age(begun)}` : `for ${age(begun - ended)}, until ${age(ended)} ago`;
  return `${turn.verdict} ${how}${turn.reason ? `: ${turn.reason}` : ""}`;
}

function pieces(turns, ages) {
  // Each has its share of the time, and enough to be seen.
  const lasted = ages.map((begun, index) => Math.max(0, begun - (ages[index + 1] ?? 0)));
  const all = lasted.reduce((sum, one) => sum + one, 0) || 1;
  const free = WIDTH - LEAST * turns.length;
  let x = 0;
  const found = [drawn("rect", { class: "base", x: 0, y: HEIGHT - 1, width: WIDTH, height: 1 })];
  turns.forEach((turn, index) => {
    const width = LEAST + (free * lasted[index]) / all;
    const height = HEIGHTS[turn.verdict] ?? HEIGHTS.unknown;
    const y = HEIGHT - 1 - height;
    found.push(drawn("rect", { class: turn.verdict, x, y, width: Math.max(1, width - 1), height }));
    x += width;
  });
  return found;
}
