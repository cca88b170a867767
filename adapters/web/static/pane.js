// A channel, or a thread beside it: header, posts, typing sign, box.

import { avatar, h, icon, iconButton } from "./dom.js";
import { Composer } from "./composer.js";
import { PostList } from "./list.js";
import { MemoryPanel } from "./memory.js";
import { Found } from "./recall.js";
import { Sorry } from "./link.js";
import { body } from "./text.js";

const RETRY_MS = 1500;

export class Pane {
  /** `root` is null for the channel itself; `app` opens and closes things. */
  constructor(app, host, channel, root) {
    Object.assign(this, { app, host, channel, root, room: app.room, id: host.id });
    this.hasThreads = !root && channel.kind !== "direct";
    this.title = channel.kind === "direct" ? channel.name : `#${channel.name}`;
    this.label = root ? `Thread in ${this.title}` : `Messages in ${this.title}`;
    this.placeholder = root ? "Reply" : channel.kind === "direct" ? `Message ${channel.name}` : `Message ${this.title}`;
    this.ending = new AbortController();
    this.work = h("span");
    this.working = h("p", { class: "working", role: "status", hidden: true }, h("span", { class: "dots", "aria-hidden": "true" }, h("i"), h("i"), h("i")), this.work);
    this.list = new PostList(this, root ? this.nothing() : this.welcome());
    this.composer = new Composer(this, `${host.id}-box`);
    const remembers = this.room.remembers && (root || channel.kind === "direct");
    this.memory = remembers ? new MemoryPanel(this, this.ending.signal) : null;
    host.replaceChildren(this.header(), this.memory?.element ?? "", this.list.element, this.composer.element);
    host.setAttribute("aria-label", root ? this.label : this.title);
    this.listen();
  }

  async fill() {
    for (const note of this.room.notes) this.showNote(note);
    await this.load();
    this.showWorking();
    this.memory?.look();
    this.composer.changed();
  }

  /** Load the posts, however long the server takes to be there; ends with the pane. */
  async load() {
    for (let tries = 0; !this.ending.signal.aborted; tries += 1) {
      try {
        await this.list.load();
        if (tries) this.composer.say("");
        return;
      } catch (error) {
        if (!(error instanceof Sorry)) throw error;
        if (!tries) this.composer.say(`${error.message} Trying again…`);
        await new Promise((done) => { setTimeout(done, RETRY_MS); });
      }
    }
  }

  end() {
    clearTimeout(this.workingEnds);
    this.ending.abort();
  }

  listen() {
    const { signal } = this.ending;
    this.room.on("post", ({ post, mine }) => this.hear(post, mine), signal);
    this.room.on("tally", ({ root }) => { if (!this.root) this.list.refresh(root); }, signal);
    this.room.on("note", ({ note }) => this.showNote(note), signal);
    this.room.on("working", ({ channel, root }) => { if (this.isPlace(channel, root)) this.showWorking(); }, signal);
    this.host.addEventListener("keydown", (event) => { if (event.key === "Escape" && !event.defaultPrevented) this.escape(); }, { signal });
    this.host.addEventListener("dragover", (event) => { event.preventDefault(); this.host.classList.add("dropping"); }, { signal });
    this.host.addEventListener("dragleave", (event) => { if (!this.host.contains(event.relatedTarget)) this.host.classList.remove("dropping"); }, { signal });
    this.host.addEventListener("drop", (event) => { event.preventDefault(); this.host.classList.remove("dropping"); this.composer.attach(event.dataTransfer.files); }, { signal });
  }

  hear(post, mine) {
    if (post.channel !== this.channel.id) return;
    if (this.isPlace(post.channel, post.root) || post.position === this.root) {
      this.list.show(post, mine);
      this.showWorking();
      this.memory?.stirred();
    }
  }

  isPlace(channel, root) {
    return channel === this.channel.id && (root ?? null) === this.root;
  }

  showWorking() {
    clearTimeout(this.workingEnds);
    const left = this.room.worksFor(this.channel.id, this.root);
    const follow = this.list.nearEnd();
    this.working.hidden = left <= 0;
    if (left <= 0) return;
    const searches = this.room.workAt(this.channel.id, this.root) === "searching";
    this.work.textContent = `${this.room.bot.name} is ${searches ? "looking through what was said" : "working on it"}`;
    this.workingEnds = setTimeout(() => this.showWorking(), left);
    if (follow) this.list.toEnd();
  }

  showNote(note) {
    if (!this.isPlace(note.channel, note.root) || note.gone) return;
    const item = h("li", { class: "note" });
    const dismiss = () => { note.gone = true; item.remove(); this.composer.box.focus(); };
    item.append(
      avatar(this.room.bot.id, this.room),
      h("div", { class: "content" },
        h("header", { class: "byline" }, h("strong", {}, this.room.bot.name), h("span", { class: "badge" }, "bot"), h("span", { class: "only" }, "Only you can see this")),
        note.found ? new Found(this, note.found).element : h("div", { class: "note-text body" }, body(note.body, null)),
        note.download && h("a", { class: "file", href: note.download, download: "" }, "Download")),
      iconButton("close", "Dismiss", dismiss),
    );
    this.list.addNote(item, note.after);
    this.list.toEnd();
  }

  // What posts ask for.

  openThread(position) {
    this.app.openThread(this.channel.id, position);
  }

  async press(post, button) {
    await this.tryTo(() => this.room.call("POST", `/api/post/${post.position}/press`, { json: { button } }));
  }

  /** Ask first: a key is pressed too easily. */
  remove(post) {
    const item = this.list.items.get(post.position);
    if (!item || item.querySelector(".editor")) return;
    const keep = () => {
      form.remove();
      this.list.put(this.room.posts.get(post.position));
      this.list.items.get(post.position)?.querySelector(".message")?.focus();
    };
    const go = async () => {
      form.remove();
      const done = await this.tryTo(() => this.room.call("DELETE", `/api/post/${post.position}`));
      if (done) this.composer.box.focus();
    };
    const sure = h("button", { type: "submit", class: "primary" }, "Delete");
    const form = h(
      "form", { class: "editor asks", onsubmit: (event) => { event.preventDefault(); go(); } },
      h("span", {}, "Delete this message for everybody?"),
      h("div", { class: "editor-actions" }, h("button", { type: "button", class: "soft", onclick: keep }, "Keep it"), sure),
    );
    form.addEventListener("keydown", (event) => { if (event.key === "Escape") { event.preventDefault(); keep(); } });
    item.querySelector(".body").after(form);
    sure.focus();
  }

  edit({ position }) {
    const post = this.room.posts.get(position);
    const item = this.list.items.get(position);
    const content = item?.querySelector(".body");
    if (!content || item.querySelector(".editor")) return;
    const box = h("textarea", { "aria-label": "Edit your message", dir: "auto", rows: Math.min(12, post.text.split("\n").length + 1) });
    box.value = post.text;
    const end = () => { form.remove(); content.hidden = false; this.list.put(this.room.posts.get(post.position)); this.composer.box.focus(); };
    const save = () => this.tryTo(async () => {
      const { post: edited } = await this.room.call("PATCH", `/api/post/${post.position}`, { json: { text: box.value } });
      end();
      this.room.did(edited);
    });
    const form = h(
      "form", { class: "editor", onsubmit: (event) => { event.preventDefault(); save(); } }, box,
      h("div", { class: "editor-actions" }, h("button", { type: "button", class: "soft", onclick: end }, "Cancel"), h("button", { type: "submit", class: "primary" }, "Save")),
    );
    box.addEventListener("keydown", (event) => {
      if (event.key === "Escape") { event.preventDefault(); end(); }
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); save(); }
    });
    content.hidden = true;
    content.after(form);
    box.focus();
    box.setSelectionRange(box.value.length, box.value.length);
  }

  editLast() {
    const mine = [...this.list.items.keys()].sort((a, b) => b - a).map((position) => this.room.posts.get(position))
      .find((post) => post.author === this.room.me && !post.deleted);
    if (mine) this.edit(mine);
  }

  step(post, by) {
    this.list.step(post.position, by);
  }

  sent(post) {
    this.room.did(post);
    if (this.ending.signal.aborted) return; // its sender has gone on
    this.list.toEnd();
    if (this.hasThreads && this.room.namesBot(post.text)) this.openThread(post.position);
  }

  escape() {
    if (this.root) this.app.closeThread();
  }

  async tryTo(act) {
    try {
      await act();
      this.composer.say("");
      return true;
    } catch (error) {
      this.composer.say(error.message);
      return false;
    }
  }

  // What stands around the posts.

  header() {
    const back = iconButton("back", this.root ? "Back to the channel" : "Channels", () => this.app.back(this), { class: "icon-button back" });
    if (this.root) {
      return h("header", { class: "head" }, back, h("div", { class: "titles" }, h("h2", {}, "Thread"), h("p", {}, this.title)), iconButton("close", "Close thread", () => this.app.closeThread(), { class: "icon-button shut" }));
    }
    const { channel } = this;
    const sign = channel.kind === "direct" ? avatar(this.room.bot.id, this.room) : icon(channel.kind === "private" ? "lock" : "hash");
    const faces = h("ul", { class: "faces", "aria-label": "Members" }, channel.members.map((id) => h("li", { title: this.room.nameOf(id) }, avatar(id, this.room), h("span", { class: "unseen" }, this.room.nameOf(id)))));
    return h("header", { class: "head" }, back, h("div", { class: "titles" }, h("h1", {}, sign, channel.name), h("p", {}, channel.topic)), faces);
  }

  /** What an address shows that leads to no thread. */
  nothing() {
    return h("p", { class: "cannot", hidden: true }, `There is no such thread in ${this.title}.`);
  }

  welcome() {
    const bot = `@${this.room.bot.name}`;
    const me = this.room.nameOf(this.room.me);
    const direct = this.channel.kind === "direct";
    const lead = direct ? "" : `${bot} `;
    const tries = [`${lead}My name is ${me}. Please remember it.`, `${lead}What can you do?`];
    return h(
      "section", { class: "welcome" },
      h("img", { src: "/static/logo.svg", alt: "", width: 56, height: 56 }),
      h("h2", {}, direct ? "Just you and Threadfly" : `This is ${this.title}`),
      h("p", {}, direct
        ? "Here you need not mention anyone: say something, and Threadfly answers."
        : ["Mention ", h("span", { class: "mention" }, bot), " and it answers in a thread. Reply there and it goes on, with no new mention, knowing what was said."]),
      h("p", { class: "try" }, "Try one of these; it goes into the box, and Enter sends it."),
      h("div", { class: "tries" }, tries.map((text) => h("button", { type: "button", class: "try-this", onclick: () => this.composer.fill(text) }, text))),
    );
  }
}
