// A message's body, from the tree that the server makes of its Markdown (see markdown.py).

import { h, icon } from "./dom.js";

const TAGS = new Set(
  "p br hr h4 strong em s code a ul ol li blockquote table thead tbody tr th td".split(" "),
);
const CLASS = /^(level-[1-6]|align-(left|center|right))$/;
const HERE = /^#\/[\w/-]+$/;
const LINKS = new Set(["http:", "https:", "mailto:"]);
const COPIED_MS = 1600;

/** Elements for `nodes`. `names` finds mentions; whatever is not on the lists above becomes text. */
export function body(nodes, names) {
  const fragment = document.createDocumentFragment();
  for (const node of nodes) fragment.append(...element(node, names));
  return fragment;
}

/** What `names` is for a list of people: finds each "@Name" that stands alone. */
export function mentionPattern(people) {
  const either = people.map((name) => name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|");
  return new RegExp(`(?<![\\w@./])@(?:${either})(?![\\w-]|\\.\\w)`, "gi");
}

function element(node, names) {
  if (typeof node === "string") return withMentions(node, names);
  const [tag, attributes, ...children] = node;
  if (tag === "pre") return [codeBlock(attributes.language, children.join(""))];
  const inner = children.flatMap((child) => element(child, tag === "code" ? null : names));
  if (!TAGS.has(tag)) return inner;
  const made = document.createElement(tag);
  dress(made, attributes);
  made.append(...inner);
  return [tag === "table" ? h("div", { class: "wide", tabindex: "0" }, made) : made];
}

function dress(made, attributes) {
  if (made.tagName === "A") {
    const link = safeLink(attributes.href);
    if (!link) return;
    made.href = link;
    if (link.startsWith("#")) return;
    made.rel = "noopener noreferrer nofollow";
    made.target = "_blank";
  }
  if (made.tagName === "OL" && Number.isInteger(attributes.start)) made.start = attributes.start;
  if (CLASS.test(attributes.class ?? "")) made.className = attributes.class;
}

function safeLink(href) {
  if (HERE.test(href)) return href;
  try {
    const url = new URL(href);
    return LINKS.has(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

function withMentions(text, names) {
  if (!names) return [text];
  const pieces = [];
  let end = 0;
  for (const found of text.matchAll(names)) {
    pieces.push(text.slice(end, found.index), h("span", { class: "mention" }, found[0]));
    end = found.index + found[0].length;
  }
  pieces.push(text.slice(end));
  return pieces.filter((piece) => piece !== "");
}

function codeBlock(language, text) {
  const word = h("span", {}, "Copy");
  const code = h("code", {}, text);
  const copy = h("button", { type: "button", class: "copy", "aria-label": "Copy the code" }, icon("copy"), word);
  copy.addEventListener("click", async () => {
    word.textContent = (await copied(code.textContent)) ? "Copied" : "Press Ctrl+C";
    setTimeout(() => { word.textContent = "Copy"; }, COPIED_MS);
  });
  return h(
    "figure", { class: "code" },
    h("figcaption", {}, h("span", {}, language || "text"), copy),
    h("pre", { tabindex: "0" }, code),
  );
}

async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
