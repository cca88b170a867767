// One post on the page.

import { avatar, h, icon, iconButton, sizeOf } from "./dom.js";
import { body } from "./text.js";

const TIME = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
const DAY = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const MOMENT = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });
const DAY_MS = 24 * 3600 * 1000;

/** The moment of a position, which counts microseconds. */
export function timeOf(position) {
  return new Date(position / 1000);
}

export function clock(position) {
  return TIME.format(timeOf(position));
}

/** "Today", "Yesterday", or the day's name and date. */
export function dayOf(position, now = new Date()) {
  const day = new Date(timeOf(position)).setHours(0, 0, 0, 0);
  const today = new Date(now).setHours(0, 0, 0, 0);
  if (day === today) return "Today";
  if (Math.round((today - day) / DAY_MS) === 1) return "Yesterday";
  return DAY.format(day);
}

/** How long ago, in words that stay short. */
export function ago(position) {
  const minutes = Math.floor((Date.now() - timeOf(position)) / 60000);
  if (minutes < 1) return "just now";
  if (minutes < 60) return `${minutes} min ago`;
  return dayOf(position) === "Today" ? `today at ${clock(position)}` : dayOf(position).toLowerCase();
}

/** A post as a list item. `pane` carries out what its buttons ask for, on the post as it reads then. */
export function postItem(post, pane) {
  const { room } = pane;
  const item = h("li", { class: "post", id: `${pane.id}-${post.position}`, "data-at": post.position });
  if (post.deleted) {
    item.append(h("p", { class: "gone" }, "This message was deleted."), repliesButton(post, pane) ?? "");
    return item;
  }
  const bot = post.author === room.bot.id;
  const growing = post.showing === "growing";
  const text = h("div", { class: growing ? "body growing" : "body" }, body(post.body, room.names));
  const message = h(
    "article", { class: bot ? "message of-bot" : "message", tabindex: "-1", "aria-busy": growing ? "true" : null },
    avatar(post.author, room),
    h("div", { class: "content" }, byline(post, room), text, files(post, room), buttons(post, pane), repliesButton(post, pane)),
    tools(post, pane),
  );
  message.setAttribute("aria-label", `${room.nameOf(post.author)}, ${clock(post.position)}`);
  message.addEventListener("keydown", (event) => keys(event, post, pane));
  item.append(message);
  return item;
}

function byline(post, room) {
  return h(
    "header", { class: "byline" },
    h("strong", {}, room.nameOf(post.author)),
    post.author === room.bot.id && h("span", { class: "badge" }, "bot"),
    h("time", { datetime: timeOf(post.position).toISOString(), title: MOMENT.format(timeOf(post.position)) }, clock(post.position)),
    post.edited && h("span", { class: "edited", title: MOMENT.format(timeOf(post.edited)) }, "(edited)"),
  );
}

function files(post, room) {
  if (!post.files.length) return null;
  return h("ul", { class: "files", "aria-label": "Files" }, post.files.map((file) => {
    const address = `/files/${file.id}?${new URLSearchParams({ as: room.me })}`;
    const shown = file.picture
      ? h("img", { src: address, alt: file.name, loading: "lazy" })
      : [icon("file"), h("span", { class: "file-name" }, file.name), h("span", { class: "file-size" }, sizeOf(file.size))];
    const rest = file.picture ? { target: "_blank", rel: "noopener" } : { download: file.name };
    return h("li", {}, h("a", { href: address, class: file.picture ? "picture" : "file", ...rest }, shown));
  }));
}

function buttons(post, pane) {
  const press = (button) => () => pane.press(post, button);
  const opinion = (button, name, label) => iconButton(name, label, press(button), {
    "aria-pressed": String(post.vote === button), class: "icon-button opinion",
  });
  const shown = {
    growing: () => [h("button", { type: "button", class: "soft", onclick: press("stop") }, icon("stop"), "Stop")],
    failed: () => [h("button", { type: "button", class: "soft", onclick: press("again") }, icon("again"), "Try again")],
    done: () => [opinion("good", "up", "Good answer"), opinion("bad", "down", "Bad answer")],
  }[post.showing];
  return shown ? h("div", { class: "buttons" }, shown()) : null;
}

function repliesButton(post, pane) {
  const tally = pane.room.tallies.get(post.position);
  if (pane.root || !tally || !tally.replies) return null;
  const count = tally.replies === 1 ? "1 reply" : `${tally.replies} replies`;
  return h(
    "button", { type: "button", class: "replies", onclick: () => pane.openThread(post.position) },
    h("span", { class: "faces" }, tally.authors.map((author) => avatar(author, pane.room))),
    h("span", { class: "count" }, count),
    h("span", { class: "last" }, `last reply ${ago(tally.last)}`),
  );
}

function tools(post, pane) {
  const mine = post.author === pane.room.me;
  const removable = mine || post.author === pane.room.bot.id;
  const made = [
    pane.hasThreads && iconButton("reply", "Reply in thread", () => pane.openThread(post.position)),
    mine && iconButton("edit", "Edit message", () => pane.edit(post)),
    removable && iconButton("bin", "Delete message", () => pane.remove(post)),
  ].filter(Boolean);
  return made.length ? h("div", { class: "tools" }, made) : null;
}

function keys(event, post, pane) {
  if (event.target !== event.currentTarget) return;
  const mine = post.author === pane.room.me;
  const todo = {
    ArrowUp: () => pane.step(post, -1),
    ArrowDown: () => pane.step(post, 1),
    Enter: () => pane.hasThreads && pane.openThread(post.position),
    e: () => mine && pane.edit(post),
    Delete: () => (mine || post.author === pane.room.bot.id) && pane.remove(post),
  }[event.key];
  if (!todo || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  todo();
}
