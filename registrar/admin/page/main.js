// Keeps the page true: asks, shows, and says so when there is no answer.

import { ServiceView, SourceView } from "./detail.js";
import { age, counted, element, Facts, say, words } from "./dom.js";
import { ask, Told } from "./feed.js";
import { explain, meaning } from "./holds.js";
import { Overview } from "./overview.js";

const ASK_MS = 2_000;
const SHOW_MS = 1_000;

const byId = (id) => document.getElementById(id);
const overview = new Overview();
const facts = new Facts(byId("facts"));
let summary = null;
let services = null;
let open = null; // what is looked at closely: its address, its view, and what was told of it
let timer = null;
let isAsking = false;
let explained = null;
let trouble = "";

/** Ask for all that is shown, and again a while after the answer. Behind a hidden page nothing is. */
async function turn() {
  clearTimeout(timer);
  if (isAsking || document.hidden) return;
  isAsking = true;
  await attempt(() => Promise.all([askAll(), askOpen()]));
  isAsking = false;
  timer = setTimeout(turn, ASK_MS);
}

async function attempt(asking) {
  try {
    await asking();
    trouble = "";
  } catch (error) {
    trouble = error.name === "TimeoutError" ? "no answer in time" : error.message;
  }
  show();
}

/** Have the words for Holds there, before anything is shown that needs them. */
function askWords() {
  explained ??= ask("page/holds.json").then(explain);
  return explained.catch((error) => {
    explained = null;
    throw error;
  });
}

async function askAll() {
  await askWords();
  const found = new Told(await ask("status/summary"));
  if (services?.value.revision !== found.value.revision) {
    const before = services;
    services = new Told(await ask("status/services"));
    const told = services;
    overview.take(told.value.services, (moment) => told.ago(told.value.clock - moment));
    announce(before?.value.services, told.value.services);
  }
  summary = found;
}

async function askOpen() {
  const asked = open;
  if (asked === null) return;
  await askWords();
  const told = new Told(await ask(asked.address));
  asked.told = told;
}

function show() {
  if (summary !== null) {
    showFacts(summary.value);
    if (open === null) overview.show(summary.value, summary.ago);
  }
  if (open !== null && open.told) open.view.show(open.told.value, open.told.ago);
  byId("overview").hidden = open !== null || summary === null;
  byId("detail").hidden = open === null;
  showAge();
}

function showAge() {
  const when = summary === null ? "" : time(summary.value.takenAt);
  byId("lost").hidden = trouble === "";
  // The age stands in the footer: an alert that changes is read out again and again.
  say(byId("lost"), trouble && `registrar does not answer (${trouble}). ${when && `What is shown is how it was at ${when}.`}`);
  say(byId("updated"), summary === null ? "Asking …" : `Told ${age(summary.elapsed)} ago, at ${when}`);
}

function time(text) {
  return `${text.slice(0, 10)} ${text.slice(11, 19)} UTC`;
}

function showFacts(found) {
  facts.show([
    ["Instance", found.instance],
    ["Version", found.version],
    ["This replica", found.leads ? "leads" : "stands by"],
    ["Leader", found.leader || (found.leads ? "" : "nobody")],
    ["Self-preservation", found.selfPreservation ? "on: silence is doubted" : "off"],
  ]);
  const doubting = byId("doubting");
  doubting.hidden = !found.selfPreservation;
  say(doubting, found.selfPreservation ? `Self-preservation: ${meaning("self-preservation")}.` : "");
}

/** Say which Services have gone over to another state, for whoever does not see it. */
function announce(before, after) {
  if (!before) return;
  const states = new Map(before.map((one) => [`${one.namespace}/${one.name}`, one.state]));
  const turned = after.filter((one) => states.get(`${one.namespace}/${one.name}`) !== one.state);
  if (turned.length === 0) return;
  const said = turned.slice(0, 3).map((one) => `${one.namespace}/${one.name}: ${words(one.state)}`);
  const more = turned.length > 3 ? ` and ${counted(turned.length - 3, "other Service")}` : "";
  byId("news").replaceChildren(element("span", {}, said.join(", ") + more));
}

function go() {
  const [kind, ...rest] = location.hash.startsWith("#/") ? location.hash.slice(2).split("/") : [null];
  if (kind === null && location.hash !== "") return; // a place on the page
  const from = open;
  const names = rest.map(decoded);
  open = null;
  if (kind === "service" && names.length === 2) {
    const view = new ServiceView(byId("detail"), names.join("/"));
    open = { address: `status/services/${names.map(encodeURIComponent).join("/")}`, view, told: null };
  } else if (kind === "source" && names.length === 1) {
    const view = new SourceView(byId("detail"), `Source ${names[0]}`);
    open = { address: `status/sources/${encodeURIComponent(names[0])}`, view, told: null };
  }
  if (open !== null) open.from = from?.from ?? location.hash;
  document.title = open === null ? "registrar" : `${open.view.heading.textContent} - registrar`;
  show();
  if (open !== null) {
    open.view.heading.focus();
    scrollTo(0, 0);
    void attempt(askOpen);
  } else if (from !== null) {
    // Back to where one came from.
    (document.querySelector(`#overview a[href="${CSS.escape(from.from)}"]`) ?? byId("filter")).focus();
  }
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

addEventListener("hashchange", go);
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && open !== null) location.hash = "#/";
});
document.addEventListener("visibilitychange", () => void turn());
setInterval(show, SHOW_MS);
go();
void turn();
