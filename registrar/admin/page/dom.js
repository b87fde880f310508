// Makes elements. What is put in is text, never markup, whoever it comes from.

/** Return an element with attributes and children; null, undefined and false are left out. */
export function element(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

/** As `element`, of SVG. */
export function drawn(name, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

function filled(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** Have an element say a text, and touch nothing if it does. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Have an element stand for a state: a word, and its class for the sign and the colour. */
export function sayState(node, state, word = words(state)) {
  node.className = `state ${state}`;
  say(node, word);
}

/** Return a state as a person writes it. */
export function words(state) {
  const text = state.replaceAll("-", " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** Return an age in seconds in words; null is never. */
export function age(seconds, never = "never") {
  if (seconds === null) return never;
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 120) return `${whole} s`;
  if (whole < 2 * 3600) return `${Math.floor(whole / 60)} min`;
  if (whole < 48 * 3600) return `${Math.floor(whole / 3600)} h`;
  return `${Math.floor(whole / 86400)} d`;
}

/** Return a count with a noun: 1 Service, 5,000 Services. */
export function counted(count, noun) {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}

/** Return a text in which `what stands so` is code. */
export function withCode(text) {
  return text.split("`").map((piece, index) => (index % 2 ? element("code", {}, piece) : piece));
}

/** A list of terms and what is said of them; what has nothing to say is not shown. */
export class Facts {
  constructor(list) {
    this.list = list;
    this.places = new Map();
  }

  /** Say what is so now; `parts` is a text, or the pieces of one. */
  show(entries) {
    for (const [term, ...parts] of entries) {
      let place = this.places.get(term);
      if (place === undefined) {
        place = element("dd");
        this.places.set(term, place);
        this.list.append(element("div", {}, element("dt", {}, term), place));
      }
      const text = parts.map((part) => part.textContent ?? part).join("");
      if (place.textContent !== text) place.replaceChildren(...parts);
      place.parentElement.hidden = text === "";
    }
  }
}
