// The page: who speaks, which channel and thread are open, and what is said about the connection.

import { avatar, h, icon } from "./dom.js";
import { Pane } from "./pane.js";
import { Unknown } from "./link.js";
import { Room } from "./room.js";

const ME = "threadfly-me";
const FLICKER_MS = 500;
const RETRY_MS = 1500;
const main = document.getElementById("main");
const thread = document.getElementById("thread");

class App {
  /** Become `me` ("": whoever comes first), however long the server takes to be there. */
  async enter(me) {
    const chosen = (this.chosen = {}); // who is chosen last speaks, however slow the answers are
    clearTimeout(this.retry);
    this.room?.leave();
    this.closePanes();
    try {
      const start = await Room.start(me);
      if (this.chosen === chosen) await this.become(start);
    } catch (error) {
      if (this.chosen !== chosen) return;
      this.closePanes();
      main.replaceChildren(h("p", { class: "cannot", role: "alert" }, `${error.message} Trying again…`));
      this.retry = setTimeout(() => this.enter(error instanceof Unknown ? "" : me), RETRY_MS);
    }
  }

  async become(start) {
    this.room = new Room(start);
    sessionStorage.setItem(ME, this.room.me);
    this.room.on("connection", ({ up }) => this.showConnection(up));
    this.room.on("reload", () => this.enter(this.room.me));
    this.room.on("post", ({ post, isNew }) => this.count(post, isNew));
    this.showPeople();
    await this.follow();
  }

  /** Show what the address names: #/channel, #/channel/thread or #/channel/thread/message. */
  async follow() {
    const [, channel, root, message] = location.hash.split("/");
    const place = this.room.channels.get(channel) ?? [...this.room.channels.values()][0];
    const position = place.id === channel && place.kind !== "direct" && /^\d+$/.test(root ?? "") ? Number(root) : null;
    document.body.dataset.pane = position ? "thread" : this.atSide ? "side" : "main";
    const filled = Promise.all([this.showChannel(place, !position), this.showThread(place, position)]);
    this.showChannels();
    this.comeBack();
    document.title = `${place.kind === "direct" ? place.name : `#${place.name}`} · Threadfly playground`;
    const pane = this.beside ?? this.pane;
    await filled;
    if (place.id === channel && /^\d+$/.test(message ?? "")) await pane.tryTo(() => pane.list.reveal(Number(message)));
  }

  async showChannel(place, alone) {
    if (this.pane?.channel.id === place.id) return;
    this.pane?.end();
    this.pane = new Pane(this, main, place, null);
    this.room.unread.delete(place.id);
    if (alone && !matchMedia("(max-width: 719px)").matches) this.pane.composer.box.focus();
    await this.pane.fill();
  }

  async showThread(place, position) {
    if (this.beside?.root === position && this.beside?.channel.id === place.id) return;
    this.beside?.end();
    this.beside = null;
    thread.hidden = !position;
    if (!position) return thread.replaceChildren();
    this.beside = new Pane(this, thread, place, position);
    this.beside.composer.box.focus();
    await this.beside.fill();
  }

  closePanes() {
    this.pane?.end();
    this.beside?.end();
    this.pane = this.beside = null;
  }

  go(hash) {
    this.atSide = false;
    if (location.hash === hash) this.follow();
    else location.hash = hash;
  }

  openThread(channel, position) {
    this.go(`#/${channel}/${position}`);
  }

  closeThread() {
    this.left = this.beside?.root;
    this.go(`#/${this.pane.channel.id}`);
  }

  /** Put the focus on what a thread was opened from, once that is in sight again. */
  comeBack() {
    if (!this.left || this.beside) return;
    const opener = document.getElementById(`main-${this.left}`)?.querySelector(".message");
    (opener ?? this.pane.composer.box).focus();
    this.left = null;
  }

  back(pane) {
    if (pane.root) return this.closeThread();
    this.atSide = true;
    document.body.dataset.pane = "side";
  }

  count(post, isNew) {
    if (!isNew || post.author === this.room.me || post.channel === this.pane?.channel.id) return;
    this.room.unread.set(post.channel, (this.room.unread.get(post.channel) ?? 0) + 1);
    this.showChannels();
  }

  showChannels() {
    const groups = [["Channels", (place) => place.kind !== "direct"], ["Direct messages", (place) => place.kind === "direct"]];
    document.getElementById("channels").replaceChildren(...groups.flatMap(([name, fits]) => [
      h("h2", {}, name),
      h("ul", {}, [...this.room.channels.values()].filter(fits).map((place) => h("li", {}, this.channelLink(place)))),
    ]));
  }

  channelLink(place) {
    const unread = this.room.unread.get(place.id);
    const sign = place.kind === "direct" ? avatar(this.room.bot.id, this.room) : icon(place.kind === "private" ? "lock" : "hash");
    const here = place.id === this.pane?.channel.id;
    return h(
      "a", { href: `#/${place.id}`, class: unread ? "channel unread" : "channel", "aria-current": here ? "page" : null, onclick: () => { this.atSide = false; if (here) this.go(`#/${place.id}`); } },
      sign, h("span", { class: "channel-name" }, place.name),
      unread && h("span", { class: "pill" }, String(unread), h("span", { class: "unseen" }, " new")),
    );
  }

  showPeople() {
    const people = document.getElementById("people");
    people.replaceChildren(people.querySelector("legend"), h("div", { class: "cast" }, [...this.room.people.values()].map((person) => {
      const choice = h("input", { type: "radio", name: "me", value: person.id, onchange: () => this.enter(person.id) });
      choice.checked = person.id === this.room.me;
      return h("label", { title: `${person.name} ${person.about}` }, choice, avatar(person.id, this.room), h("span", {}, person.name));
    })));
  }

  showConnection(up) {
    const bar = document.getElementById("connection");
    clearTimeout(this.flicker);
    if (up) {
      bar.hidden = true;
      bar.textContent = "";
      return;
    }
    this.flicker = setTimeout(() => {
      bar.textContent = "Reconnecting… What you write stays in the box.";
      bar.hidden = false;
    }, FLICKER_MS);
  }
}

const app = new App();
window.addEventListener("hashchange", () => { if (app.pane) app.follow(); });
app.enter(sessionStorage.getItem(ME) ?? "");
