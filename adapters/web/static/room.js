// What this page knows of the room. One per person spoken as; views listen to it.

import { Line, call } from "./link.js";
import { mentionPattern } from "./text.js";

const WORKING_MS = 12000; // the bot says so again every 8 s

const placeOf = ({ channel, root }) => `${channel}/${root ?? ""}`;

export class Room extends EventTarget {
  /** What a room starts from. */
  static start(me) {
    return call(me, "GET", "/api/room");
  }

  constructor(start) {
    super();
    Object.assign(this, { me: start.me, bot: start.bot, commands: start.commands, limits: start.limits });
    this.remembers = start.remembers;
    this.people = new Map(start.people.map((person) => [person.id, person]));
    this.channels = new Map(start.channels.map((channel) => [channel.id, channel]));
    this.posts = new Map();
    this.tallies = new Map();
    this.unread = new Map();
    this.working = new Map(); // place -> when the bot was last seen at work there, and at which
    this.notes = start.notes;
    this.names = mentionPattern([...start.people.map((person) => person.name), start.bot.name]);
    this.start = start.newest;
    this.line = new Line(this.me, start.newest, {
      onnews: (news) => this.hear(news),
      onreload: () => this.tell("reload"),
      onstate: (up) => this.tell("connection", { up }),
    });
  }

  leave() {
    this.line.close();
  }

  nameOf(author) {
    return author === this.bot.id ? this.bot.name : (this.people.get(author)?.name ?? author);
  }

  namesBot(text) {
    return text.search(mentionPattern([this.bot.name])) >= 0;
  }

  call(method, path, rest) {
    return call(this.me, method, path, rest);
  }

  /** Posts of a channel (root null) or a thread before a position; they are kept, and told of. */
  async load(channel, root, before) {
    const query = {};
    if (root) query.root = root;
    if (before) query.before = before;
    const found = await this.call("GET", `/api/posts/${channel}`, { query });
    for (const tally of found.tallies) this.tallies.set(tally.root, tally);
    found.posts.forEach((post) => this.keep(post));
    return { posts: found.posts.map((post) => this.posts.get(post.position)), more: found.more };
  }

  /** Keep what a post reads now, unless something newer is known. */
  keep(post) {
    const known = this.posts.get(post.position);
    if (known && known.changed >= post.changed) return false;
    this.posts.set(post.position, post);
    return true;
  }

  /** Take in the answer to something that this page did itself. */
  did(post) {
    if (this.keep(post)) this.tell("post", { post, mine: true });
  }

  hear(news) {
    if (news.post?.tally) this.count(news.post.tally);
    if (news.post && this.keep(news.post)) {
      if (news.post.author === this.bot.id) this.working.delete(placeOf(news.post));
      const isNew = news.post.position > this.start && news.post.changed === news.post.position;
      this.tell("post", { post: news.post, isNew });
    }
    if (news.working) {
      this.working.set(placeOf(news.working), { at: Date.now(), work: news.working.work });
      this.tell("working", news.working);
    }
    if (news.note) {
      this.notes.push(news.note);
      this.tell("note", { note: news.note });
    }
  }

  /** Keep how many replies a thread has; it comes with every change of any of them. */
  count(tally) {
    const known = this.tallies.get(tally.root);
    this.tallies.set(tally.root, tally);
    if (known?.replies !== tally.replies || known.last !== tally.last) this.tell("tally", { root: tally.root });
  }

  /** For how many more ms the bot counts as being at work in a place. */
  worksFor(channel, root) {
    return (this.working.get(placeOf({ channel, root }))?.at ?? 0) + WORKING_MS - Date.now();
  }

  /** What it does there: `thinking` or `searching`. */
  workAt(channel, root) {
    return this.working.get(placeOf({ channel, root }))?.work;
  }

  tell(type, detail = {}) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  on(type, listener, signal) {
    this.addEventListener(type, (event) => listener(event.detail), { signal });
  }
}
