// Shows all Services with their filters, all sources, and what is held.

import { age, counted, element, say, sayState } from "./dom.js";
import { Reasons } from "./holds.js";
import { Rows } from "./rows.js";

const byId = (id) => document.getElementById(id);

/** The address of a Service's own view. */
export function serviceLink(namespace, name) {
  return `#/service/${encodeURIComponent(namespace)}/${encodeURIComponent(name)}`;
}

/** The address of a source's own view. */
export function sourceLink(name) {
  return `#/source/${encodeURIComponent(name)}`;
}

export class Overview {
  constructor() {
    this.services = [];
    this.ago = (seconds) => seconds;
    this.form = byId("filters");
    this.rows = new Rows(byId("service-rows"), byId("more-services"), {
      noun: "Service",
      key: (service) => service.text,
      make: makeService,
      update: (row, service) => updateService(row, service, this.changed(service)),
    });
    this.sources = new Rows(byId("source-rows"), null, {
      noun: "source",
      key: (source) => source.name,
      make: makeSource,
      update: (row, source) => updateSource(row, source, this.ago),
    });
    this.reasons = new Reasons((reason) => this.choose(reason));
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("input", () => {
      this.rows.rewind();
      this.filter();
    });
  }

  /** Take the list of all Services; `since` returns how long ago a moment of its clock was. */
  take(services, since) {
    this.changed = (service) => (service.changedAt === null ? null : since(service.changedAt));
    this.services = services.map((service) => ({
      ...service,
      text: `${service.namespace}/${service.name}`,
      words: [`${service.namespace}/${service.name}`, ...service.sources, ...service.holds].join(" ").toLowerCase(),
    }));
    this.reasons.show(services);
  }

  /** Show everything, as old as it is now. `ago` adds the time since the summary was told. */
  show(summary, ago) {
    this.ago = ago;
    const total = Object.values(summary.states).reduce((sum, count) => sum + count, 0);
    for (const place of this.form.querySelectorAll("[data-count]")) {
      const count = place.dataset.count ? summary.states[place.dataset.count] : total;
      say(place, `(${count.toLocaleString("en")})`);
    }
    this.filter();
    this.sources.show(summary.sources);
  }

  filter() {
    const text = byId("filter").value.trim().toLowerCase();
    const state = new FormData(this.form).get("state");
    const found = this.services.filter(
      (service) => (!state || service.state === state) && service.words.includes(text),
    );
    this.rows.show(found);
    const all = this.services.length;
    say(byId("shown"), found.length === all ? counted(all, "Service") : `${found.length.toLocaleString("en")} of ${counted(all, "Service")}`);
  }

  choose(reason) {
    byId("filter").value = reason;
    this.form.querySelector('[value=""]').checked = true;
    this.rows.rewind();
    this.filter();
    byId("filter").focus();
  }
}

function makeService(service) {
  const link = element("a", { href: serviceLink(service.namespace, service.name) }, service.text);
  return element(
    "tr",
    {},
    element("th", { scope: "row" }, link),
    element("td", {}, element("span")),
    element("td", { class: "number" }),
    element("td", { class: "reason" }),
    element("td", { class: "reason" }),
    element("td", { class: "number" }),
  );
}

function updateService(row, service, changed) {
  const [, state, ready, holds, sources, last] = row.children;
  sayState(state.firstChild, service.state);
  say(ready, `${service.ready}/${service.endpoints}`);
  say(holds, service.holds.join(", "));
  say(sources, service.sources.join(", "));
  say(last, changed === null ? "none yet" : `${age(changed)} ago`);
}

function makeSource(source) {
  return element(
    "tr",
    {},
    element("th", { scope: "row" }, element("a", { href: sourceLink(source.name) }, source.name)),
    element("td", {}, element("span"), element("div", { class: "reason" })),
    element("td", { class: "number" }),
    element("td", { class: "number" }),
  );
}

function updateSource(row, source, ago) {
  const [, state, parts, answered] = row.children;
  const silent = source.silent > 0 || source.parts === 0;
  sayState(state.firstChild, source.error ? "failing" : silent ? "asking" : "answers", source.error ? "Failing" : silent ? "Not heard yet" : "Answers");
  say(state.lastChild, source.error ?? "");
  say(parts, source.failing ? `${source.failing} of ${source.parts} failing` : `${source.parts}`);
  say(answered, source.answered === null ? "never" : `${age(ago(source.answered))} ago`);
}
