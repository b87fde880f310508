// Says what Holds mean and how they end, in the words of docs/operations.md.

import { counted, element, withCode } from "./dom.js";

let explanations = {};

/** Take the words. */
export function explain(found) {
  explanations = found;
}

/** Return what a reason means, empty if there are no words for it. */
export function meaning(reason) {
  return explanations[reason]?.means ?? "";
}

/** Return a Hold with all there is to know of it; `detail` is what registrar says of this one. */
export function hold(reason, detail, heading, ...more) {
  const words = explanations[reason];
  const said = words && [
    ["What it means", words.means],
    ["What to look at", words.lookAt],
    ["How it ends by itself", words.endsByItself],
    ["How a person ends it", words.endsByPerson],
  ];
  return element(
    "div",
    { class: "hold" },
    element(heading, {}, element("code", {}, reason)),
    detail && element("p", {}, detail),
    ...more,
    said && element("dl", {}, ...said.flatMap(([term, text]) => described(term, text))),
  );
}

function described(term, text) {
  return [element("dt", {}, term), element("dd", {}, ...withCode(text))];
}

/** Shows which reasons hold how many Services. `choose` is called with one to see those Services. */
export class Reasons {
  constructor(choose) {
    this.place = document.getElementById("hold-reasons");
    this.none = document.getElementById("no-holds");
    this.choose = choose;
    this.shown = "";
  }

  /** Show those of the Services. */
  show(services) {
    const counts = new Map();
    for (const service of services) {
      for (const reason of service.holds) counts.set(reason, (counts.get(reason) ?? 0) + 1);
    }
    const found = [...counts].sort(([, a], [, b]) => b - a);
    this.none.hidden = found.length > 0;
    const told = JSON.stringify(found);
    if (told === this.shown) return; // what a person has unfolded stays so
    this.shown = told;
    const unfolded = new Set([...this.place.querySelectorAll("details[open]")].map((one) => one.dataset.reason));
    const focused = document.activeElement?.closest?.("[data-reason]")?.dataset.reason;
    this.place.replaceChildren(...found.map(([reason, count]) => this.group(reason, count, unfolded.has(reason))));
    if (focused) this.place.querySelector(`[data-reason="${CSS.escape(focused)}"] summary`)?.focus();
  }

  group(reason, count, open) {
    const button = element("button", { type: "button" }, `Show ${counted(count, "Service")}`);
    button.addEventListener("click", () => this.choose(reason));
    const summary = element("summary", {}, element("code", {}, reason), ` ${counted(count, "Service")}`);
    return element(
      "details",
      { "data-reason": reason, open: open ? "" : null },
      summary,
      hold(reason, "", "h3", button),
    );
  }
}
