// The box that one writes in: mentions, commands, files, drafts.

import { avatar, h, icon, iconButton, sizeOf } from "./dom.js";
import { nonce } from "./link.js";

const WARN_LEFT = 2000;
const drafts = new Map(); // one for each person, channel and thread

export class Composer {
  constructor(pane, id) {
    this.pane = pane;
    this.room = pane.room;
    this.name = `${this.room.me}/${pane.channel.id}/${pane.root ?? ""}`;
    this.files = [];
    this.sending = Promise.resolve();
    const suggestions = `${id}-suggestions`;
    this.box = h("textarea", {
      id, rows: 1, placeholder: pane.placeholder, "aria-label": pane.placeholder, dir: "auto", autocomplete: "off", spellcheck: "true",
      role: "combobox", "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": suggestions, "aria-describedby": `${id}-sorry`,
    });
    this.menu = h("ul", { id: suggestions, class: "menu", role: "listbox", "aria-label": "Suggestions", hidden: true });
    this.sorry = h("p", { id: `${id}-sorry`, class: "sorry", role: "alert" });
    this.chosen = h("ul", { class: "chosen", "aria-label": "Files to send", hidden: true });
    this.picker = h("input", { type: "file", multiple: true, class: "unseen", tabindex: "-1", "aria-label": "Files" });
    this.send = h("button", { type: "submit", class: "send", "aria-label": "Send", title: "Send (Enter)" }, icon("send"));
    this.element = h(
      "form", { class: "composer" }, this.menu, this.sorry,
      h("div", { class: "field" }, this.chosen,
        h("div", { class: "row" },
          iconButton("clip", "Attach files", () => this.picker.click()), this.picker, this.box, this.send)),
      h("p", { class: "hint", "aria-hidden": "true" }, h("kbd", {}, "Enter"), " sends, ", h("kbd", {}, "Shift Enter"), " new line, ", h("kbd", {}, "@"), " mentions, ", h("kbd", {}, "/"), " commands"),
    );
    this.listen();
    this.box.value = drafts.get(this.name) ?? "";
    this.changed();
  }

  listen() {
    this.element.addEventListener("submit", (event) => { event.preventDefault(); this.submit(); });
    this.box.addEventListener("input", () => { this.sorry.textContent = ""; this.changed(); this.suggest(); });
    this.box.addEventListener("keydown", (event) => this.keys(event));
    this.box.addEventListener("blur", () => this.closeMenu());
    this.box.addEventListener("paste", (event) => {
      if (event.clipboardData.files.length) { event.preventDefault(); this.attach(event.clipboardData.files); }
    });
    this.picker.addEventListener("change", () => { this.attach(this.picker.files); this.picker.value = ""; });
  }

  /** Put `text` into the box, for the reader to send. */
  fill(text) {
    this.box.value = text;
    this.changed();
    this.box.focus();
    this.box.setSelectionRange(text.length, text.length);
  }

  changed() {
    const text = this.box.value;
    drafts.set(this.name, text);
    if (!text) drafts.delete(this.name);
    this.box.style.height = "auto";
    if (this.box.scrollHeight) this.box.style.height = `${this.box.scrollHeight}px`; // 0 while it is hidden
    const left = this.room.limits.chars - [...text.trim()].length;
    this.element.classList.toggle("ready", Boolean(text.trim() || this.files.length));
    if (left < 0) this.say(`${(-left).toLocaleString()} characters too many: a message takes ${this.room.limits.chars.toLocaleString()}. Send it in pieces, or as a file.`);
    else if (left < WARN_LEFT) this.say(`${left.toLocaleString()} characters left.`);
    return left >= 0;
  }

  say(sentence) {
    this.sorry.textContent = sentence;
  }

  // Files

  attach(files) {
    for (const file of files) {
      if (this.files.length >= this.room.limits.files) return this.say(`A message takes ${this.room.limits.files} files.`);
      if (file.size > this.room.limits.bytes) this.say(`${file.name} is too large: up to ${sizeOf(this.room.limits.bytes)} fit.`);
      else this.files.push(file);
    }
    this.showFiles();
    this.box.focus();
  }

  showFiles() {
    this.chosen.hidden = !this.files.length;
    this.chosen.replaceChildren(...this.files.map((file, index) => h(
      "li", {}, icon("file"), h("span", { class: "file-name" }, file.name), h("span", { class: "file-size" }, sizeOf(file.size)),
      iconButton("close", `Remove ${file.name}`, () => { this.files.splice(index, 1); this.showFiles(); this.box.focus(); }),
    )));
    this.element.classList.toggle("ready", Boolean(this.box.value.trim() || this.files.length));
  }

  // Sending

  submit() {
    const text = this.box.value;
    if ((!text.trim() && !this.files.length) || !this.changed()) return;
    const files = this.files;
    this.files = [];
    this.box.value = "";
    this.say("");
    this.showFiles();
    this.changed();
    const again = this.failed && this.failed.text === text && this.failed.files.every((file, index) => file === files[index]);
    const act = again ? this.failed.act : nonce(); // perhaps only the answer was lost: say it once
    this.failed = null;
    this.sending = this.sending.then(() => this.deliver(text, files, act));
  }

  async deliver(text, files, act) {
    try {
      const ids = [];
      for (const file of files) ids.push(await this.upload(file));
      const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
      const json = { text, root: this.pane.root, files: ids, nonce: act, zone };
      const { post } = await this.room.call("POST", `/api/posts/${this.pane.channel.id}`, { json });
      if (post) this.pane.sent(post);
    } catch (error) {
      this.giveBack(text, files, error);
      this.failed = { text, files, act };
    }
  }

  async upload(file) {
    file.sentAs ??= (await this.room.call("POST", "/api/files", { query: { name: file.name }, body: file })).id;
    return file.sentAs;
  }

  /** What was not sent is in the box again, before what was typed meanwhile. */
  giveBack(text, files, error) {
    this.box.value = this.box.value ? `${text}\n${this.box.value}` : text;
    this.files = [...files, ...this.files];
    this.showFiles();
    this.changed();
    this.say(`Not sent. ${error.message}`);
  }

  // Keys and suggestions

  keys(event) {
    if (event.isComposing) return;
    if (!this.menu.hidden && !this.saysIt(event) && this.menuKeys(event)) return;
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      this.submit();
    } else if (event.key === "ArrowUp" && !this.box.value) {
      event.preventDefault();
      this.pane.editLast();
    } else if (event.key === "Escape") {
      this.pane.escape();
    }
  }

  /** Enter after a command that was typed whole sends it: there is nothing left to complete. */
  saysIt(event) {
    const whole = event.key === "Enter" && this.offers[this.marked].name === this.box.value.toLowerCase();
    if (whole) this.closeMenu();
    return whole;
  }

  menuKeys(event) {
    const count = this.menu.children.length;
    const todo = {
      ArrowDown: () => this.mark((this.marked + 1) % count),
      ArrowUp: () => this.mark((this.marked + count - 1) % count),
      Enter: () => this.take(this.offers[this.marked]),
      Tab: () => this.take(this.offers[this.marked]),
      Escape: () => this.closeMenu(),
    }[event.key];
    if (!todo || event.shiftKey) return false;
    event.preventDefault();
    event.stopPropagation();
    todo();
    return true;
  }

  suggest() {
    const before = this.box.value.slice(0, this.box.selectionStart);
    const mention = /(?:^|[\s(])@([\w-]*)$/.exec(before);
    const command = /^\/(\w*)$/.exec(before);
    if (mention) this.offer(this.people(mention[1]), mention[1].length + 1);
    else if (command) this.offer(this.commands(command[1]), command[1].length + 1);
    else this.closeMenu();
  }

  people(start) {
    const { room } = this;
    const all = [room.bot, ...[...room.people.values()].filter((person) => person.id !== room.me)];
    return all.filter((person) => person.name.toLowerCase().startsWith(start.toLowerCase()))
      .map((person) => ({ text: `@${person.name} `, face: avatar(person.id, room), name: person.name, about: person.about }));
  }

  commands(start) {
    return Object.entries(this.room.commands).filter(([word]) => word.startsWith(start.toLowerCase()))
      .map(([word, about]) => ({ text: `/${word} `, name: `/${word}`, about }));
  }

  offer(offers, replaces) {
    if (!offers.length) return this.closeMenu();
    this.offers = offers.map((offer) => ({ ...offer, replaces }));
    this.menu.replaceChildren(...this.offers.map((offer, index) => h(
      "li", { role: "option", id: `${this.menu.id}-${index}`, onpointerdown: (event) => { event.preventDefault(); this.take(offer); } },
      offer.face, h("strong", {}, offer.name), h("span", {}, offer.about),
    )));
    this.menu.hidden = false;
    this.box.setAttribute("aria-expanded", "true");
    this.mark(0);
  }

  mark(index) {
    this.marked = index;
    [...this.menu.children].forEach((item, at) => item.setAttribute("aria-selected", String(at === index)));
    this.box.setAttribute("aria-activedescendant", `${this.menu.id}-${index}`);
  }

  take(offer) {
    const end = this.box.selectionStart;
    this.box.setRangeText(offer.text, end - offer.replaces, end, "end");
    this.closeMenu();
    this.changed();
  }

  closeMenu() {
    this.menu.hidden = true;
    this.box.setAttribute("aria-expanded", "false");
    this.box.removeAttribute("aria-activedescendant");
  }
}
