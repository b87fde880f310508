// Shows one Service, or one source, in full.

import { age, element, Facts, say, sayState } from "./dom.js";
import { hold } from "./holds.js";
import { sourceLink } from "./overview.js";
import { Rows, table } from "./rows.js";
import { showTurns, timeline } from "./timeline.js";

/** What both views have: the way back, a heading that takes the focus, a place for what is known. */
class View {
  constructor(place, name) {
    this.heading = element("h2", { tabindex: "-1" }, name);
    this.gone = element("p", { hidden: "" }, "registrar is asked for no such one any more, or is not yet.");
    this.body = element("div");
    this.back = element("a", { href: "#/" }, "All Services");
    place.replaceChildren(element("nav", { "aria-label": "Back" }, this.back), this.heading, this.gone, this.body);
  }

  /** Show what is known; null: nothing, for it is not there. */
  show(found, ago) {
    this.gone.hidden = found !== null;
    this.body.hidden = found === null;
    if (found !== null) this.fill(found, ago);
  }
}

export class ServiceView extends View {
  constructor(place, name) {
    super(place, name);
    const facts = element("dl", { class: "facts" });
    this.facts = new Facts(facts);
    this.remarks = element("div");
    this.told = "";
    const { whole, body, more } = table("Backends", [
      "Backend", "Port", "Published", "Verdict", "Last check", "Turns",
    ]);
    this.none = element("p", { hidden: "" }, "No backend is published, and none is to be.");
    this.whole = whole;
    this.backends = new Rows(body, more, {
      noun: "backend",
      key: (one) => `${one.portName} ${one.protocol} ${one.address} ${one.port}`,
      make: makeBackend,
      update: (row, one) => updateBackend(row, one, this.ago),
    });
    this.body.append(facts, this.remarks, element("h3", {}, "Backends"), this.none, whole);
  }

  fill(service, ago) {
    this.ago = ago;
    const state = element("span");
    sayState(state, service.state);
    const sources = service.sources.flatMap((name, index) => [
      index ? ", " : "", element("a", { href: sourceLink(name) }, name),
    ]);
    const changed = service.changed === null ? "none yet" : `${age(ago(service.changed))} ago`;
    this.facts.show([
      ["State", state],
      ["Ready", `${service.ready}/${service.endpoints}`],
      ["Sources", ...sources],
      ["Published as", service.publish],
      ["Last change", changed],
      ["Writes", `${service.written}`],
    ]);
    this.remark(service);
    this.none.hidden = service.backends.length > 0;
    this.whole.hidden = service.backends.length === 0;
    this.backends.show(service.backends);
  }

  remark(service) {
    const told = JSON.stringify([service.holds, service.notices, service.dropped]);
    if (told === this.told) return;
    this.told = told;
    this.remarks.replaceChildren(
      ...service.holds.map((one) => hold(one.reason, one.detail, "h3")),
      ...listed("Notices", service.notices),
      ...listed("Not published", service.dropped),
    );
  }
}

function listed(heading, lines) {
  if (lines.length === 0) return [];
  return [element("h3", {}, heading), element("ul", {}, ...lines.map((line) => element("li", {}, line)))];
}

function makeBackend(one) {
  const place = one.address.includes(":") ? `[${one.address}]:${one.port}` : `${one.address}:${one.port}`;
  return element(
    "tr",
    {},
    element("th", { scope: "row" }, place),
    element("td", {}, `${one.portName || "unnamed"} (${one.protocol})`),
    element("td", {}, element("span"), element("div")),
    element("td", {}, element("span"), element("div")),
    element("td", { class: "reason" }),
    element("td", {}, timeline(place)),
  );
}

function updateBackend(row, one, ago) {
  const [, , published, verdict, reason, turns] = row.children;
  sayState(published.firstChild, one.published);
  say(published.lastChild, one.drained ? "taken out by a person" : "");
  sayState(verdict.firstChild, one.verdict);
  const last = one.turns.at(-1);
  say(verdict.lastChild, last ? `since ${age(ago(last.age))}` : "");
  say(reason, one.reason);
  showTurns(turns.firstChild, one.turns, ago);
}

export class SourceView extends View {
  constructor(place, name) {
    super(place, name);
    this.error = element("p", { class: "banner", hidden: "" });
    const { whole, body, more } = table("Parts", ["Part", "State", "Last good answer", "Backends", "Error"]);
    this.parts = new Rows(body, more, {
      noun: "part",
      key: (part) => part.name,
      make: makePart,
      update: (row, part) => updatePart(row, part, this.ago),
    });
    this.body.append(this.error, element("h3", {}, "Parts"), whole);
  }

  fill(source, ago) {
    this.ago = ago;
    this.error.hidden = !source.error;
    say(this.error, source.error ? `Its parts are not known: ${source.error}` : "");
    this.parts.show(source.parts);
  }
}

function makePart(part) {
  return element(
    "tr",
    {},
    element("th", { scope: "row" }, part.name || "all that is asked"),
    element("td", {}, element("span")),
    element("td", { class: "number" }),
    element("td", { class: "number" }),
    element("td", { class: "reason" }),
  );
}

function updatePart(row, part, ago) {
  const [, state, answered, backends, error] = row.children;
  sayState(state.firstChild, part.error ? "failing" : part.answered === null ? "asking" : "answers", part.error ? "Failing" : part.answered === null ? "Not heard yet" : "Answers");
  say(answered, part.answered === null ? "never" : `${age(ago(part.answered))} ago`);
  say(backends, part.answered === null && part.backends === 0 ? "not known" : `${part.backends}`);
  say(error, part.error ?? "");
}
