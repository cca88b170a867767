// What `/recall` found: pages of hits, and the conversation around one of them.

import { avatar, h, icon } from "./dom.js";
import { clock, dayOf } from "./post.js";

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
    const others = hit.others ? ` · ${hit.others} more fit` : "";
    return h(
      "li", { class: "hit" },
      h("header", {},
        h("a", { href: hit.link, class: "hit-title" }, hit.title || "A conversation"),
        h("span", {}, `${hit.where} · ${dayOf(line.at)}, ${clock(line.at)} · ${size}${others}`)),
      this.lines(hit.lines),
      h("div", { class: "hit-actions" },
        h("button", { type: "button", class: "soft", onclick: () => this.open(hit, hit.position, 0) }, "Read here"),
        h("a", { class: "soft", href: hit.link }, "Go to the message")),
    );
  }

  lines(lines) {
    return h("ol", { class: "lines" }, lines.map((line) => h(
      "li", { class: line.hit ? "line is-hit" : "line" },
      avatar(line.author, this.room),
      h("div", {}, h("strong", {}, line.name), " ", h("time", {}, clock(line.at)),
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
    const about = { of_channel: hit.channel, of_thread: hit.thread, position: String(position), step };
    return this.ask("/look", about, ({ part }) => this.read(hit, part));
  }

  read(hit, part) {
    const first = part.lines[0]?.position;
    const last = part.lines.at(-1)?.position;
    const on = (there, label, position, step) => there && h("button", { type: "button", class: "soft", onclick: () => this.open(hit, position, step) }, label);
    this.element.replaceChildren(
      h("h3", {}, part.title || "A conversation"),
      this.lines(part.lines.map((line) => ({ ...line, hit: line.position === hit.position }))),
      h("div", { class: "leaf" },
        h("button", { type: "button", class: "soft", onclick: () => this.show() }, icon("back"), "All hits"),
        on(part.older, "Earlier", first, -1), on(part.newer, "Later", last, 1),
        h("a", { class: "soft", href: hit.link }, "Go to the message")),
      this.sorry,
    );
  }

  async ask(path, json, then) {
    const address = `/api/recall/${this.pane.channel.id}${path}`;
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    try {
      then(await this.room.call("POST", address, { json: { ...json, root: this.pane.root, zone } }));
      this.sorry.textContent = "";
      this.element.querySelector("h3").scrollIntoView({ block: "nearest" });
      this.element.querySelector("button")?.focus({ preventScroll: true });
    } catch (error) {
      this.sorry.textContent = error.message;
    }
  }
}
