// "What the bot remembers" of the open thread.

import { h, icon } from "./dom.js";

const SETTLE_MS = 350;
const LOOK_AGAIN_MS = 20000;

export class MemoryPanel {
  constructor(pane, signal) {
    this.pane = pane;
    this.address = `/api/memory/${pane.channel.id}/${pane.root ?? "main"}`;
    this.line = h("span", { class: "memory-line" }, "What the bot remembers");
    this.dot = h("span", { class: "dot", "aria-hidden": "true" });
    const id = `${pane.id}-memory`;
    this.toggle = h("button", { type: "button", class: "memory-toggle", "aria-expanded": "false", "aria-controls": id, onclick: () => this.open(this.details.hidden) }, this.dot, this.line, icon("chevron"));
    this.facts = h("dl", { class: "facts" });
    this.summary = h("div", { class: "summary", hidden: true });
    this.drop = h("button", { type: "button", class: "soft", onclick: () => this.dropHot() }, "Drop the hot context");
    this.said = h("p", { class: "memory-said", role: "status" });
    this.details = h("div", { id, class: "memory-details", hidden: true }, this.facts, this.summary, h("div", { class: "memory-actions" }, this.drop), this.said);
    this.element = h("section", { class: "memory", "aria-label": "What the bot remembers", hidden: true }, this.toggle, this.details);
    const timers = [setInterval(() => this.tick(), 1000), setInterval(() => this.look(), LOOK_AGAIN_MS)];
    signal.addEventListener("abort", () => { timers.forEach(clearInterval); clearTimeout(this.soon); });
  }

  open(wide) {
    this.details.hidden = !wide;
    this.toggle.setAttribute("aria-expanded", String(wide));
    if (wide) this.look();
  }

  /** Something happened in the thread: look when it has settled. */
  stirred() {
    clearTimeout(this.soon);
    this.soon = setTimeout(() => this.look(), SETTLE_MS);
  }

  async look() {
    try {
      this.take((await this.pane.room.call("GET", this.address)).remembered);
    } catch {
      // The connection bar says it already; the last facts stay.
    }
  }

  async dropHot() {
    this.drop.disabled = true;
    try {
      this.take((await this.pane.room.call("DELETE", this.address)).remembered);
      const all = this.now ? messages(this.now.archived) : "everything";
      this.said.textContent = `Dropped. The archive still holds ${all}; the next read rebuilds the hot context.`;
    } catch (error) {
      this.said.textContent = error.message;
    }
    this.show();
  }

  take(remembered) {
    if (remembered && this.now && remembered.version !== this.now.version) this.said.textContent = "";
    this.now = remembered;
    this.seen = Date.now();
    this.show();
  }

  show() {
    this.element.hidden = !this.now;
    if (!this.now) return;
    const now = this.now;
    const hot = this.left() > 0 && now.hot !== null;
    const current = hot && (now.hot_version === null || now.hot_version === now.version);
    this.dot.className = current ? "dot warm" : "dot";
    this.drop.disabled = !hot;
    const state = current ? `${now.hot} hot` : hot ? "hot context out of date" : "nothing hot";
    this.line.textContent = `Remembers ${messages(now.archived)}, ${state}`;
    this.facts.replaceChildren(...[
      ["In the archive", messages(now.archived), now.whole ? "from the very first" : "what came before is not all there"],
      ["Hot", hot ? messages(now.hot) : "none", hot ? (current ? "current" : "will not be used") : "the next read rebuilds it"],
      ["Kept hot for", hot ? span(this.left()) : "–", hot ? "renewed by each read" : ""],
      ["Last read", { hit: "Hit", miss: "Miss" }[now.last_read] ?? "–", { hit: "from the hot context", miss: "from the archive" }[now.last_read] ?? "not read yet"],
      ["Version", String(now.version), hot && now.hot_version !== null ? `hot: ${now.hot_version}` : "every change raises it"],
      ["Summed up", now.summary_blocks ? `${now.summary_blocks} ${now.summary_blocks === 1 ? "block" : "blocks"}` : "nothing", now.summary_blocks ? "of older messages" : "all of it still fits"],
    ].map(([name, value, about]) => h("div", {}, h("dt", {}, name), h("dd", {}, value, h("small", {}, about)))));
    this.summary.hidden = !now.summary;
    this.summary.replaceChildren(h("h3", {}, "Summary"), h("p", {}, now.summary || ""));
  }

  left() {
    return this.now?.ttl_s ? this.now.ttl_s - (Date.now() - this.seen) / 1000 : 0;
  }

  tick() {
    if (!this.details.hidden && this.now?.ttl_s) this.show();
  }
}

function messages(count) {
  return count === 1 ? "1 message" : `${count.toLocaleString()} messages`;
}

function span(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const minutes = Math.floor(whole / 60);
  if (minutes >= 60) return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
  return `${minutes}:${String(whole % 60).padStart(2, "0")}`;
}
