// Elements from plain values. Nothing in this page is ever parsed as HTML.

/** An element. `props` sets attributes; `on...` functions listen; false, null and undefined are left out. */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Make `old` read as `now` does, and leave alone what reads the same: somebody may be pressing or marking it. */
export function settle(old, now) {
  if (old.isEqualNode(now)) return;
  if (old.nodeType === Node.TEXT_NODE && now.nodeType === Node.TEXT_NODE && now.data.startsWith(old.data)) {
    old.appendData(now.data.slice(old.data.length));
  } else if (old.nodeName !== now.nodeName || old.nodeType !== Node.ELEMENT_NODE || old.nodeName === "BUTTON") {
    old.replaceWith(now); // a button does what it was made for, so it never becomes another
  } else {
    settleAttributes(old, now);
    const [were, are] = [[...old.childNodes], [...now.childNodes]];
    are.forEach((child, at) => (at < were.length ? settle(were[at], child) : old.append(child)));
    were.slice(are.length).forEach((child) => child.remove());
  }
}

function settleAttributes(old, now) {
  for (const { name } of [...old.attributes]) if (!now.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of now.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
}

const SVG = "http://www.w3.org/2000/svg";

/** One of the symbols in index.html. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

/** A button that shows an icon and is called `label`. */
export function iconButton(name, label, onclick, props = {}) {
  return h("button", { type: "button", class: "icon-button", "aria-label": label, title: label, onclick, ...props }, icon(name));
}

/** The picture of somebody: the logo for the bot, else an initial on a colour of their own. */
export function avatar(author, room) {
  if (author === room.bot.id) {
    return h("img", { class: "avatar", src: "/static/logo.svg", alt: "", width: 36, height: 36 });
  }
  const name = room.nameOf(author);
  const hue = [...room.people.keys()].indexOf(author) % 6;
  return h("span", { class: `avatar hue-${hue < 0 ? 5 : hue}`, "aria-hidden": "true" }, [...name][0] ?? "?");
}

export function sizeOf(bytes) {
  if (bytes < 1024) return `${bytes} B`;
  if (bytes < 1024 * 1024) return `${Math.round(bytes / 1024)} kB`;
  return `${(bytes / 1024 / 1024).toFixed(1)} MB`;
}
