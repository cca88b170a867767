// The way to the server: calls, and a socket that comes back by itself.

const FIRST_WAIT_MS = 400;
const LONGEST_WAIT_MS = 8000;
const DEAD_AFTER_MS = 40000; // the server ticks every 15 s

/** A refusal; its message is a sentence for people. */
export class Sorry extends Error {}

/** What was asked for is not there, or not for this person. */
export class Unknown extends Sorry {}

/** Call the server as `me`; the JSON that comes back. Throws `Sorry`. */
export async function call(me, method, path, { query = {}, json, body } = {}) {
  const address = `${path}?${new URLSearchParams({ ...query, as: me })}`;
  const headers = json === undefined ? {} : { "Content-Type": "application/json" };
  let response;
  try {
    response = await fetch(address, { method, headers, body: json === undefined ? body : JSON.stringify(json) });
  } catch {
    throw new Sorry("The playground can't be reached right now.");
  }
  const answer = await response.json().catch(() => ({}));
  const Kind = response.status === 404 ? Unknown : Sorry;
  if (!response.ok) throw new Kind(answer.sorry ?? `The playground answered ${response.status}.`);
  return answer;
}

/** A name for one act, so that doing it again after a lost answer does it once. */
export function nonce() {
  return [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Hears the room's news for one person, from the last change that was seen. */
export class Line {
  constructor(me, since, { onnews, onreload, onstate }) {
    Object.assign(this, { me, since, onnews, onreload, onstate, wait: FIRST_WAIT_MS, closed: false });
    this.hurry = () => { if (!this.closed && !this.socket && document.visibilityState === "visible") this.connect(); };
    window.addEventListener("online", this.hurry);
    document.addEventListener("visibilitychange", this.hurry);
    this.connect();
  }

  connect() {
    clearTimeout(this.retry);
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const query = new URLSearchParams({ as: this.me, since: this.since });
    const socket = new WebSocket(`${scheme}://${location.host}/ws?${query}`);
    this.socket = socket;
    socket.onmessage = (event) => { if (socket === this.socket) this.hear(JSON.parse(event.data)); };
    socket.onclose = () => { if (socket === this.socket) this.lost(); };
    this.expectSign();
  }

  hear(frame) {
    this.expectSign();
    if (frame.reload) return this.onreload();
    if (frame.caught_up) {
      this.wait = FIRST_WAIT_MS;
      this.onstate(true);
    }
    for (const news of frame.news ?? []) {
      if (news.post) this.since = Math.max(this.since, news.post.changed);
      this.onnews(news);
    }
  }

  expectSign() {
    clearTimeout(this.alarm);
    this.alarm = setTimeout(() => this.socket?.close(), DEAD_AFTER_MS);
  }

  lost() {
    clearTimeout(this.alarm);
    this.socket = null;
    if (this.closed) return;
    this.onstate(false);
    this.retry = setTimeout(() => this.connect(), this.wait * (0.7 + 0.6 * Math.random()));
    this.wait = Math.min(this.wait * 2, LONGEST_WAIT_MS);
  }

  close() {
    this.closed = true;
    clearTimeout(this.retry);
    clearTimeout(this.alarm);
    window.removeEventListener("online", this.hurry);
    document.removeEventListener("visibilitychange", this.hurry);
    this.socket?.close();
  }
}
