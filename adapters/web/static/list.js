// The posts of one channel or thread, in order, kept in step with the room.

import { h, icon, settle } from "./dom.js";
import { dayOf, postItem, timeOf } from "./post.js";

const TOGETHER_MS = 5 * 60 * 1000;
const NEAR_END_PX = 90;

export class PostList {
  constructor(pane, empty) {
    this.pane = pane;
    this.items = new Map(); // position -> element
    this.first = 0; // from this position on, everything is shown; what is above comes with loadEarlier
    this.more = h("button", { type: "button", class: "more", hidden: true, onclick: () => this.pane.tryTo(() => this.loadEarlier()) }, "Show earlier messages");
    this.list = h("ol", { class: "posts" });
    const log = h("div", { class: "log", role: "log", "aria-live": "polite", "aria-relevant": "additions", "aria-label": pane.label }, this.list);
    this.empty = empty;
    this.jump = h("button", { type: "button", class: "jump", hidden: true, onclick: () => this.toEnd() }, icon("arrow-down"), "New messages");
    this.scroller = h("div", { class: "scroller" }, this.more, empty ?? "", log, pane.working);
    this.element = h("div", { class: "list" }, this.scroller, this.jump);
    this.scroller.addEventListener("scroll", () => { if (this.nearEnd()) this.jump.hidden = true; }, { passive: true });
    // Pictures and boxes that grow late must not push the newest message out of sight.
    const settled = new ResizeObserver(() => { if (this.following) this.toEnd(); });
    settled.observe(this.list);
    settled.observe(this.scroller);
    this.scroller.addEventListener("scroll", () => { this.following = this.nearEnd(); }, { passive: true });
    this.following = true;
  }

  async load() {
    await this.take(null);
    for (const [position, item] of this.items) {
      if (position >= this.first) continue; // it changed while this was being read
      item.remove();
      this.items.delete(position);
    }
    this.arrange();
    this.toEnd();
  }

  async loadEarlier() {
    const height = await this.take(this.first);
    this.arrange();
    this.scroller.scrollTop += this.scroller.scrollHeight - height;
  }

  /** Show the page of posts before a position; how high everything was without it. */
  async take(before) {
    const { posts, more } = await this.pane.room.load(this.pane.channel.id, this.pane.root, before);
    const height = this.scroller.scrollHeight;
    this.first = more ? posts[0].position : 0;
    this.more.hidden = !more;
    for (const post of posts) this.put(post);
    return height;
  }

  /** Bring one message into sight, as far back as it may be, and let it shine for a moment. */
  async reveal(position) {
    while (!this.items.has(position) && this.first > position) await this.loadEarlier();
    const item = this.items.get(position);
    if (!item) return;
    this.following = false;
    item.scrollIntoView({ block: "center" });
    item.classList.remove("revealed");
    requestAnimationFrame(() => item.classList.add("revealed"));
  }

  /** Show what a post reads now. */
  show(post, mine) {
    if (post.position < this.first) return;
    const follow = mine || this.nearEnd();
    const known = this.items.has(post.position);
    this.put(post);
    if (!known || post.deleted) this.arrange();
    if (follow) this.toEnd();
    else if (!known) this.jump.hidden = false;
  }

  /** Draw a post again, for its thread's count. */
  refresh(position) {
    const post = this.pane.room.posts.get(position);
    if (post && this.items.has(position)) this.put(post);
  }

  put(post) {
    const old = this.items.get(post.position);
    const vanished = post.deleted && !this.pane.room.tallies.get(post.position)?.replies && post.position !== this.pane.root;
    if (vanished) {
      old?.remove();
      this.items.delete(post.position);
      return;
    }
    if (!old) {
      const item = postItem(post, this.pane);
      this.items.set(post.position, item);
      this.place(item);
      return;
    }
    if (old.querySelector(".editor")) return; // never under somebody's hands
    this.replace(old, postItem(post, this.pane), post.position);
  }

  /** Let the post at `old` be as `item` is, and keep the focus where it was. */
  replace(old, item, position) {
    const held = old.contains(document.activeElement) ? document.activeElement : null;
    const label = held?.getAttribute("aria-label");
    const [was, is] = [old, item].map((one) => one.querySelector(":scope > .message"));
    if (was && is) {
      was.toggleAttribute("aria-busy", false);
      if (is.hasAttribute("aria-busy")) was.setAttribute("aria-busy", "true");
      settle(was.querySelector(":scope > .content"), is.querySelector(":scope > .content"));
    } else {
      item.className = old.className;
      const day = old.querySelector(":scope > .day");
      if (day) item.prepend(day);
      old.replaceWith(item);
      this.items.set(position, item);
    }
    if (!held || held === document.activeElement) return;
    const there = this.items.get(position);
    const same = label && [...there.querySelectorAll("[aria-label]")].find((one) => one.getAttribute("aria-label") === label);
    (same ?? there.querySelector(".message"))?.focus({ preventScroll: true });
  }

  /** Put an element where its `data-at` belongs. */
  place(item) {
    const at = Number(item.dataset.at);
    let next = null;
    for (let each = this.list.lastElementChild; each && Number(each.dataset.at) > at; each = each.previousElementSibling) next = each;
    this.list.insertBefore(item, next);
  }

  /** Show something that is no post below everything up to the position `after`. */
  addNote(item, after) {
    item.dataset.at = after + 0.5;
    this.place(item);
  }

  /** Days between posts, posts of one author together, one post that Tab reaches. */
  arrange() {
    const positions = [...this.items.keys()].sort((a, b) => a - b);
    let before = null;
    for (const position of positions) {
      const item = this.items.get(position);
      const post = this.pane.room.posts.get(position);
      const newDay = !before || dayOf(before.position) !== dayOf(position);
      item.querySelector(":scope > .day")?.remove();
      if (newDay) item.prepend(h("div", { class: "day" }, h("span", {}, dayOf(position))));
      const close = before && timeOf(position) - timeOf(before.position) < TOGETHER_MS;
      item.classList.toggle("follows", Boolean(close && !newDay && before.author === post.author && !before.deleted && before.position !== this.pane.root));
      item.classList.toggle("is-root", position === this.pane.root);
      before = post;
    }
    this.list.querySelectorAll(".message").forEach((message) => message.setAttribute("tabindex", "-1"));
    [...this.list.querySelectorAll(".message")].at(-1)?.setAttribute("tabindex", "0");
    if (this.empty) this.empty.hidden = positions.length > 0;
  }

  step(position, by) {
    const positions = [...this.items.keys()].sort((a, b) => a - b);
    const next = this.items.get(positions[positions.indexOf(position) + by])?.querySelector(".message");
    if (!next) return;
    this.list.querySelectorAll('.message[tabindex="0"]').forEach((message) => message.setAttribute("tabindex", "-1"));
    next.setAttribute("tabindex", "0");
    next.focus();
  }

  nearEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.scroller;
    return scrollHeight - scrollTop - clientHeight < NEAR_END_PX;
  }

  toEnd() {
    this.jump.hidden = true;
    this.following = true;
    this.scroller.scrollTop = this.scroller.scrollHeight;
  }
}
