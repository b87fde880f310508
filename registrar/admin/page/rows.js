// Fills a table with rows that are kept as long as what they stand for is there: focus stays where it
// is, and thousands cost no more than what is seen.

import { counted, element } from "./dom.js";

const STEP = 100;

/** The rows of one table. `make` returns a row for an item, `update` has it say what is so now. */
export class Rows {
  constructor(body, more, { noun, key, make, update }) {
    Object.assign(this, { body, more, noun, key, make, update });
    this.most = STEP;
    this.kept = new Map();
    this.items = [];
    more?.addEventListener("click", () => this.showMore());
  }

  /** Show so many of the items as have a place. */
  show(items) {
    this.items = items;
    const seen = items.slice(0, this.most);
    const keys = new Set(seen.map(this.key));
    for (const [key, row] of this.kept) {
      if (keys.has(key)) continue;
      row.remove();
      this.kept.delete(key);
    }
    seen.forEach((item, index) => {
      const key = this.key(item);
      let row = this.kept.get(key);
      if (row === undefined) {
        row = this.make(item);
        this.kept.set(key, row);
      }
      if (this.body.children[index] !== row) this.body.insertBefore(row, this.body.children[index] ?? null);
      this.update(row, item);
    });
    this.offerMore(items.length - seen.length);
  }

  /** Begin at the first again, as after a change of the filter. */
  rewind() {
    this.most = STEP;
  }

  offerMore(left) {
    if (!this.more) return;
    this.more.hidden = left <= 0;
    this.more.textContent = `Show ${Math.min(STEP, left)} more of the ${counted(left, this.noun)} left`;
  }

  showMore() {
    const first = this.most;
    this.most += STEP;
    this.show(this.items);
    // Whoever pressed the button reads on at the first of the new rows.
    const row = this.body.children[first];
    row?.setAttribute("tabindex", "-1");
    (row?.querySelector("a") ?? row)?.focus();
  }
}

/** Return a table with a heading, in a region that can be scrolled, and the button for more. */
export function table(label, columns) {
  const body = element("tbody");
  const more = element("button", { type: "button", hidden: "" });
  const heads = columns.map((column) => element("th", { scope: "col" }, column));
  const whole = element(
    "div",
    {},
    element(
      "div",
      { class: "scroll", role: "region", "aria-label": label, tabindex: "0" },
      element(
        "table",
        {},
        element("caption", { class: "unseen" }, label),
        element("thead", {}, element("tr", {}, ...heads)),
        body,
      ),
    ),
    more,
  );
  return { whole, body, more };
}
