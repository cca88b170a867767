"""The playground's own posts, in one SQLite file. Synchronous: `room.py` calls it in one thread.

As on a real platform the posts outlive the bot's process, however it ended, and are not the bot's
archive: what is here is what Slack's or Discord's servers would hold.
"""

import sqlite3
from collections.abc import Collection, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE post (
    position INTEGER PRIMARY KEY,
    changed INTEGER NOT NULL UNIQUE,
    channel TEXT NOT NULL,
    root INTEGER,
    author TEXT NOT NULL,
    text TEXT NOT NULL,
    edited INTEGER,
    deleted INTEGER NOT NULL DEFAULT 0,
    deleted_by TEXT,
    called INTEGER NOT NULL DEFAULT 0,
    named INTEGER NOT NULL DEFAULT 0,
    nonce TEXT UNIQUE,
    turn INTEGER, part INTEGER, asked INTEGER, showing TEXT
);
CREATE INDEX post_place ON post (channel, root, position);
CREATE INDEX post_news ON post (channel, changed);
CREATE TABLE file (
    id TEXT PRIMARY KEY,
    post INTEGER REFERENCES post (position),
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    type TEXT NOT NULL,
    size INTEGER NOT NULL,
    stored INTEGER NOT NULL,
    content BLOB NOT NULL
);
CREATE INDEX file_post ON file (post);
CREATE TABLE vote (
    post INTEGER NOT NULL REFERENCES post (position),
    person TEXT NOT NULL,
    button TEXT NOT NULL,
    PRIMARY KEY (post, person)
);
"""
_POST = (
    "position, changed, channel, root, author, text, edited, deleted, called, named, deleted_by, "
    "turn, part, asked, showing"
)


@dataclass(frozen=True, slots=True)
class File:
    """A file that came with a post."""

    id: str
    owner: str
    name: str
    type: str
    size: int


@dataclass(frozen=True, slots=True)
class Mark:
    """What a post of the bot carries besides its text, as metadata does elsewhere."""

    turn: int
    part: int
    asked: int
    showing: str


@dataclass(frozen=True, slots=True)
class Post:
    """One post as it reads now. Times are microseconds since 1970, and unique in the ledger."""

    position: int
    changed: int
    """When it last became different in any way: what a reader that was away asks by."""
    channel: str
    root: int | None
    """Position of the thread's first post; None for a post of the channel itself."""
    author: str
    text: str
    edited: int | None = None
    deleted: bool = False
    called: bool = False
    """The text named the bot when it was posted."""
    named: bool = False
    """The text names the bot, or did before an edit."""
    mark: Mark | None = None
    deleted_by: str | None = None
    files: tuple[File, ...] = ()
    votes: tuple[tuple[str, str], ...] = ()
    """Person and button, for each who rated it."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What a channel shows of a thread below its first post."""

    root: int
    replies: int
    last: int
    """Position of the newest reply; 0 when there is none."""
    authors: tuple[str, ...]


class Ledger:
    """The file. Every write commits before it returns. Not for two threads at once."""

    def __init__(self, path: Path | str) -> None:
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=5000"):
            self._db.execute(f"PRAGMA {pragma}")
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version == 0:
            self._db.executescript(f"BEGIN;{_SCHEMA}PRAGMA user_version={SCHEMA_VERSION};COMMIT;")
        elif version != SCHEMA_VERSION:
            self._db.close()
            raise sqlite3.DatabaseError(f"schema {version}, expected {SCHEMA_VERSION}")

    def close(self) -> None:
        self._db.close()

    def newest(self) -> int:
        """The last stamp that was given out; 0 in an empty ledger."""
        (stamp,) = self._db.execute("SELECT coalesce(max(changed), 0) FROM post").fetchone()
        return int(stamp)

    def add(self, post: Post, nonce: str | None, files: Sequence[str]) -> Post:
        """Keep `post` with those uploads of its author; the earlier post where the nonce was used."""
        mark = post.mark
        values = (
            post.position, post.changed, post.channel, post.root, post.author, post.text, post.edited,
            post.deleted, post.called, post.named, post.deleted_by, *(_mark_values(mark)), nonce,
        )  # fmt: skip
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            known = self._db.execute("SELECT position FROM post WHERE nonce = ?", (nonce,)).fetchone()
            if known is None:
                marks = ", ".join("?" * len(values))
                self._db.execute(f"INSERT INTO post ({_POST}, nonce) VALUES ({marks})", values)  # noqa: S608 (constants)
                self._attach(post, files)
        return self._sure(post.position if known is None else int(known[0]))

    def rewrite(self, position: int, changed: int, **columns: object) -> Post | None:
        """Set those columns of a post; None when it is gone."""
        names = ", ".join(f"{name} = :{name}" for name in columns)
        done = self._db.execute(
            f"UPDATE post SET changed = :changed, {names} WHERE position = :position AND NOT deleted",  # noqa: S608 (our names)
            {**columns, "changed": changed, "position": position},
        )
        return self._sure(position) if done.rowcount else None

    def erase(self, position: int, changed: int, by: str) -> Post | None:
        """Leave of a post that it was there; None when it was gone already."""
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            done = self._db.execute(
                "UPDATE post SET changed = ?, deleted = 1, deleted_by = ?, text = '', nonce = NULL "
                "WHERE position = ? AND NOT deleted",
                (changed, by, position),
            )
            self._db.execute("DELETE FROM file WHERE post = ?", (position,))
            self._db.execute("DELETE FROM vote WHERE post = ?", (position,))
        return self._sure(position) if done.rowcount else None

    def vote(self, position: int, changed: int, person: str, button: str) -> Post | None:
        """Count a person's opinion of a post, in place of an earlier one."""
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            done = self._db.execute(
                "UPDATE post SET changed = ? WHERE position = ? AND NOT deleted", (changed, position)
            )
            if done.rowcount:
                self._db.execute("INSERT OR REPLACE INTO vote VALUES (?, ?, ?)", (position, person, button))
        return self._sure(position) if done.rowcount else None

    def get(self, position: int) -> Post | None:
        return next(iter(self._posts("position = ?", (position,), "", 1)), None)

    def page(self, channel: str, root: int | None, before: int | None, limit: int) -> list[Post]:
        """The newest posts of a channel, or of a thread with its first post; ascending."""
        place, values = ("root IS NULL", ()) if root is None else ("(root = ? OR position = ?)", (root, root))
        older, bound = ("", ()) if before is None else (" AND position < ?", (before,))
        found = self._posts(
            f"channel = ? AND {place}{older}", (channel, *values, *bound), "position DESC", limit
        )
        return found[::-1]

    def news(self, channels: Collection[str], since: int, limit: int) -> list[Post]:
        """Posts of those channels that changed after `since`, in the order in which they did."""
        among = ", ".join("?" * len(channels))
        return self._posts(f"channel IN ({among}) AND changed > ?", (*channels, since), "changed", limit)

    def earlier(self, channel: str, before: int) -> bool:
        """Whether anything was ever posted to the channel itself before that position."""
        row = self._db.execute(
            "SELECT 1 FROM post WHERE channel = ? AND root IS NULL AND position < ? LIMIT 1",
            (channel, before),
        )
        return row.fetchone() is not None

    def of_turn(self, channel: str, turn: int, asked: int) -> list[Post]:
        """The posts of one reply of the bot, ascending."""
        where = "channel = ? AND position > ? AND turn = ? AND asked = ? AND NOT deleted"
        return self._posts(where, (channel, asked, turn, asked), "position", -1)

    def tallies(self, channel: str, roots: Iterable[int]) -> dict[int, Tally]:
        """How many replies each of those threads has, by whom, and when the last came."""
        return {root: self._tally(channel, root) for root in roots}

    def keep_file(self, file: File, content: bytes, stored: int) -> None:
        """Keep an upload until a post names it."""
        values = (file.id, file.owner, file.name, file.type, file.size, stored, content)
        self._db.execute(
            "INSERT INTO file (id, owner, name, type, size, stored, content) VALUES (?, ?, ?, ?, ?, ?, ?)",
            values,
        )

    def drop_unposted(self, before: int) -> None:
        """Throw away uploads that no post came to name."""
        self._db.execute("DELETE FROM file WHERE post IS NULL AND stored < ?", (before,))

    def file(self, id: str) -> tuple[File, Post | None] | None:
        """A file and the post it belongs to (None: not posted yet)."""
        row = self._db.execute(
            "SELECT id, owner, name, type, size, post FROM file WHERE id = ?", (id,)
        ).fetchone()
        return None if row is None else (File(*row[:5]), None if row[5] is None else self.get(row[5]))

    def content(self, id: str) -> bytes | None:
        row = self._db.execute("SELECT content FROM file WHERE id = ?", (id,)).fetchone()
        return None if row is None else bytes(row[0])

    def _attach(self, post: Post, files: Sequence[str]) -> None:
        for id in files:
            self._db.execute(
                "UPDATE file SET post = ? WHERE id = ? AND owner = ? AND post IS NULL",
                (post.position, id, post.author),
            )

    def _tally(self, channel: str, root: int) -> Tally:
        where = "channel = ? AND root = ? AND NOT deleted"
        with closing(self._db.cursor()) as cursor:
            count, last = cursor.execute(
                f"SELECT count(*), coalesce(max(position), 0) FROM post WHERE {where}",  # noqa: S608 (constants)
                (channel, root),
            ).fetchone()
            authors = cursor.execute(
                f"SELECT author FROM post WHERE {where} GROUP BY author ORDER BY min(position) LIMIT 4",  # noqa: S608
                (channel, root),
            ).fetchall()
        return Tally(root, count, last, tuple(author for (author,) in authors))

    def _sure(self, position: int) -> Post:
        post = self.get(position)
        if post is None:
            raise sqlite3.DatabaseError(f"post {position} vanished")
        return post

    def _posts(self, where: str, values: Sequence[object], order: str, limit: int) -> list[Post]:
        ordered = f"ORDER BY {order}" if order else ""
        rows = self._db.execute(
            f"SELECT {_POST} FROM post WHERE {where} {ordered} LIMIT ?",  # noqa: S608 (clauses of this file)
            (*values, limit),
        )
        return [self._with_company(_post(row)) for row in rows.fetchall()]

    def _with_company(self, post: Post) -> Post:
        files = self._db.execute(
            "SELECT id, owner, name, type, size FROM file WHERE post = ? ORDER BY rowid", (post.position,)
        ).fetchall()
        votes = self._db.execute(
            "SELECT person, button FROM vote WHERE post = ?", (post.position,)
        ).fetchall()
        return (
            replace(post, files=tuple(File(*row) for row in files), votes=tuple(votes))
            if files or votes
            else post
        )


def _mark_values(mark: Mark | None) -> tuple[object, ...]:
    return (None,) * 4 if mark is None else (mark.turn, mark.part, mark.asked, mark.showing)


def _post(row: Sequence[Any]) -> Post:
    position, changed, channel, root, author, text, edited, deleted, called, named, deleted_by, *marked = row
    mark = None if marked[0] is None else Mark(*marked)
    return Post(
        position, changed, channel, root, author, text, edited,
        deleted=bool(deleted), called=bool(called), named=bool(named), mark=mark, deleted_by=deleted_by,
    )  # fmt: skip
