// What `/recall` found: pages of hits, the conversation around one of them, and what can be done with it.

import { avatar, h, icon } from "./dom.js";
import { nonce } from "./link.js";
import { clock, dayOf } from "./post.js";
import { body } from "./text.js";

export class Found {
  constructor(pane, found) {
    Object.assign(this, { pane, room: pane.room, found });
    this.element = h("section", { class: "found", "aria-label": "What was found" });
    this.sorry = h("p", { class: "sorry", role: "alert" });
    this.show();
  }

  show() {
    const { found } = this;
    this.element.replaceChildren(
      h("h3", {}, found.lead),
      h("ol", { class: "hits" }, found.found.map((hit) => this.hit(hit))),
      h("div", { class: "leaf" }, this.leaf("earlier", "Previous"), this.leaf("later", "Next")),
      this.sorry,
      ...found.notes.map((note) => h("p", { class: "found-note" }, note)),
    );
  }

  hit(hit) {
    const [line] = hit.lines.filter((each) => each.hit);
    const size = hit.messages === 1 ? "1 message" : `${hit.messages} messages`;
    const at = this.found.words.trim() ? line.at : hit.active;
    const others = hit.others && this.found.words.trim() ? ` · ${hit.others} more fit` : "";
    const aside = h("div", { class: "aside", role: "status" });
    return h(
      "li", { class: "hit" },
      h("header", {},
        h("a", { href: hit.link, class: "hit-title" }, hit.title || "A conversation"),
        h("span", {}, `${hit.where} · ${dayOf(at)}, ${clock(at)} · ${size}${others}`)),
      this.lines(hit.lines),
      h("div", { class: "hit-actions" },
        h("button", { type: "button", class: "soft", onclick: () => this.open(hit, hit.position, 0) }, "Read here"),
        h("a", { class: "soft", href: hit.link }, "Go to the message"),
        this.sharing(hit, aside)),
      aside,
    );
  }

  /** Buttons that do something which others see. */
  sharing(hit, aside) {
    return [
      hit.for_all && h("button", { type: "button", class: "soft", onclick: () => this.offer(hit, aside) }, "Show in channel"),
      h("button", { type: "button", class: "soft", onclick: (event) => this.act(event, "/go_on", hit, aside) }, "Continue here"),
    ].filter(Boolean);
  }

  /** Say who would see what, and ask. */
  offer(hit, aside) {
    return this.ask("/offer", about(hit), ({ ask, quote }) => {
      aside.replaceChildren(
        h("p", {}, ask),
        h("div", { class: "body quote" }, body(quote, null)),
        h("div", { class: "hit-actions" },
          h("button", { type: "button", class: "primary", onclick: (event) => this.act(event, "/show", hit, aside) }, "Show it to everybody"),
          h("button", { type: "button", class: "soft", onclick: () => aside.replaceChildren() }, "Leave it")),
      );
      aside.querySelector("button").focus({ preventScroll: true });
      aside.scrollIntoView({ block: "nearest" });
    }, false);
  }

  /** Do it once, however often the answer gets lost, and say what came of it. */
  async act(event, path, hit, aside) {
    const button = event.currentTarget;
    button.dataset.nonce ??= nonce();
    button.disabled = true;
    await this.ask(path, { ...about(hit), nonce: button.dataset.nonce }, ({ said }) => {
      aside.replaceChildren(h("div", { class: "body" }, body(said, null)));
      aside.scrollIntoView({ block: "nearest" });
    }, false);
    button.disabled = false;
  }

  lines(lines) {
    return h("ol", { class: "lines" }, lines.map((line) => h(
      "li", { class: line.hit ? "line is-hit" : "line" },
      avatar(line.author, this.room),
      h("div", {}, h("strong", {}, line.name), " ", when(line),
        h("p", {}, line.cut_before && "… ", line.pieces.map(([text, marked]) => (marked ? h("mark", {}, text) : text)), line.cut_after && " …")),
    )));
  }

  leaf(side, label) {
    const skip = this.found[side];
    if (skip === null) return null;
    return h("button", { type: "button", class: "soft", onclick: () => this.turn(skip) }, label);
  }

  turn(skip) {
    const { words, as_of } = this.found;
    return this.ask("", { words, as_of, skip }, ({ found }) => { this.found = found; this.show(); });
  }

  /** Show the conversation around a position, or what is next to it on one side. */
  open(hit, position, step) {
    return this.ask("/look", { ...about(hit, position), step }, ({ part }) => this.read(hit, part));
  }

  read(hit, part) {
    const first = part.lines[0]?.position;
    const last = part.lines.at(-1)?.position;
    const aside = h("div", { class: "aside", role: "status" });
    const on = (there, label, position, step) => there && h("button", { type: "button", class: "soft", onclick: () => this.open(hit, position, step) }, label);
    this.element.replaceChildren(
      h("h3", {}, part.title || "A conversation"),
      this.lines(part.lines.map((line) => ({ ...line, hit: line.position === hit.position }))),
      h("div", { class: "leaf" },
        h("button", { type: "button", class: "soft", onclick: () => this.show() }, icon("back"), "All hits"),
        on(part.older, "Earlier", first, -1), on(part.newer, "Later", last, 1),
        h("a", { class: "soft", href: hit.link }, "Go to the message"), this.sharing(hit, aside)),
      aside,
      this.sorry,
    );
  }

  async ask(path, json, then, anew = true) {
    const address = `/api/recall/${this.pane.channel.id}${path}`;
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    try {
      then(await this.room.call("POST", address, { json: { ...json, root: this.pane.root, zone } }));
      this.sorry.textContent = "";
      if (!anew) return;
      this.element.querySelector("h3").scrollIntoView({ block: "nearest" });
      this.element.querySelector("button")?.focus({ preventScroll: true });
    } catch (error) {
      this.sorry.textContent = error.message;
    }
  }
}

/** When it was said, as the way to the message where that is known. */
function when(line) {
  const time = h("time", {}, clock(line.at));
  return line.link ? h("a", { href: line.link, title: "Go to the message" }, time) : time;
}

function about(hit, position = hit.position) {
  return { of_channel: hit.channel, of_thread: hit.thread, position: String(position) };
}
