"""The chat server of the playground: what Slack's or Discord's servers are elsewhere.

It keeps a platform's rules (who may read, whose post it is, how long a post may be) and tells
everybody who listens what became different. It knows of the bot only that it is a guest.
"""

import asyncio
import functools
import re
import secrets
import sqlite3
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from adapters.web.cast import Cast, Channel, Kind
from adapters.web.ledger import File, Ledger, Mark, Post, Tally
from adapters.web.news import Listener, News, Note, NotThere, Posted, Refused, RoomUnavailable, Working
from adapters.web.words import clean, names_bot

P = ParamSpec("P")
T = TypeVar("T")

MOST_PERSON_CHARS = 40_000
MOST_BOT_CHARS = 4_000
MOST_FILES = 5
MOST_FILE_BYTES = 5 * 1024 * 1024
MOST_NAME_CHARS = 120
UPLOAD_WAITS_S = 24 * 3600
"""How long an upload that nobody posts is kept."""
CLOSED = "The playground is not open right now."
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TYPE = re.compile(r"[a-z0-9][\w.+-]{0,60}/[a-z0-9][\w.+-]{0,80}\Z", re.IGNORECASE)


class Room:
    """Channels, posts, threads and files, and whoever listens to them."""

    def __init__(
        self, path: Path, cast: Cast, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.cast = cast
        self._path = path
        self._now = now
        self._listeners: set[Listener] = set()
        self._thread = ThreadPoolExecutor(1, "playground")
        self._writes: set[asyncio.Task[Post | None]] = set()
        self._ledger: Ledger | None = None
        self._stamped = 0
        self._notes = 0

    async def open(self) -> None:
        """Open the file, making it when it is new. Raises `RoomUnavailable`."""
        self._ledger = await self._in_thread(Ledger, self._path)
        self._stamped = await self._in_thread(self._ledger.newest)
        await self._in_thread(
            self._ledger.drop_unposted, self.stamp_of(self._now()) - UPLOAD_WAITS_S * 1_000_000
        )

    async def close(self) -> None:
        """Finish what is being written, then let go of the file."""
        if self._writes:
            await asyncio.wait(set(self._writes))
        if self._ledger is not None:
            await self._in_thread(self._ledger.close)
            self._ledger = None
        self._thread.shutdown(wait=False)

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with all news, in order, from now on; the result ends that. It must not block."""
        self._listeners.add(listener)
        return lambda: self._listeners.discard(listener)

    # What people do.

    async def say(
        self,
        person: str,
        channel: str,
        root: int | None,
        text: str,
        files: Sequence[str] = (),
        nonce: str = "",
    ) -> Post:
        """Post `text`; saying it again with the same nonce changes nothing."""
        place = self.place(person, channel)
        await self._check_root(place, root)
        words = self._checked(text, bool(files))
        if len(files) > MOST_FILES:
            raise Refused(f"That is {len(files)} files; a message takes {MOST_FILES}.")
        named = names_bot(words, self.cast)

        def post(stamp: int) -> Post:
            said = Post(stamp, stamp, channel, root, person, words, called=named, named=named)
            return self._open_ledger.add(said, f"{person}:{nonce}" if nonce else None, files)

        return await self._sure(post)

    async def edit(self, person: str, position: int, text: str) -> Post:
        """Let a post of that person read `text`."""
        old = await self._own(person, position)
        words = self._checked(text, bool(old.files))
        named = old.named or names_bot(words, self.cast)
        if words == old.text:
            return old
        return await self._sure(
            lambda stamp: self._open_ledger.rewrite(position, stamp, text=words, edited=stamp, named=named)
        )

    async def delete(self, person: str, position: int) -> None:
        """Take a post of that person away, or one of the bot: everybody here looks after the bot."""
        post = await self._there(person, position)
        if post.author not in {person, self.cast.bot.id}:
            raise Refused("Only who wrote a message can delete it.")
        await self._write(lambda stamp: self._open_ledger.erase(position, stamp, person))

    async def vote(self, person: str, position: int, button: str) -> Post:
        """Note what a person thinks of a post of the bot."""
        return await self._sure(lambda stamp: self._open_ledger.vote(position, stamp, person, button))

    async def upload(self, person: str, name: str, type: str, content: bytes) -> File:
        """Keep a file until its owner posts it."""
        if person not in self.cast.people and person != self.cast.bot.id:
            raise NotThere("Nobody here has that name.")
        if len(content) > MOST_FILE_BYTES:
            raise Refused(f"That file is too large; up to {MOST_FILE_BYTES // 2**20} MB fit.")
        known = type if _TYPE.match(type) else "application/octet-stream"
        kept = File(secrets.token_urlsafe(16), person, _file_name(name), known, len(content))
        stored = self.stamp_of(self._now())
        await self._in_thread(self._open_ledger.keep_file, kept, content, stored)
        return kept

    # What the bot does.

    async def post_as_bot(
        self, channel: str, root: int | None, text: str, mark: Mark, file: tuple[str, str] | None = None
    ) -> Post:
        """Post a part of a reply (with a text file: its name and content); once for each mark of a turn."""
        self._check_bot_text(text)
        if channel not in self.cast.channels:
            raise NotThere("There is no such channel.")
        bot = self.cast.bot.id
        files: tuple[str, ...] = ()
        if file is not None:
            files = ((await self.upload(bot, file[0], "text/plain", file[1].encode())).id,)
        nonce = f"{bot}:{channel}:{root}:{mark.asked}:{mark.turn}:{mark.part}"

        def post(stamp: int) -> Post:
            made = Post(stamp, stamp, channel, root, bot, text, mark=mark)
            kept = self._open_ledger.add(made, nonce, files)
            if kept.position == stamp or kept.text == text:
                return kept
            return self._open_ledger.rewrite(kept.position, stamp, text=text, showing=mark.showing) or kept

        return await self._sure(post)

    async def change_as_bot(self, position: int, text: str, showing: str) -> Post:
        """Let a post of the bot read `text` instead. Raises `NotThere`."""
        self._check_bot_text(text)
        return await self._sure(
            lambda stamp: self._open_ledger.rewrite(position, stamp, text=text, showing=showing)
        )

    async def remove_as_bot(self, position: int) -> None:
        """Take a post of the bot away, if it is there."""
        bot = self.cast.bot.id
        await self._write(lambda stamp: self._open_ledger.erase(position, stamp, bot))

    async def post_aside(self, channel: str, root: int | None, text: str, nonce: str) -> Post:
        """Post something that is no part of a reply; once for each nonce."""
        self._check_bot_text(text)
        if channel not in self.cast.channels:
            raise NotThere("There is no such channel.")
        bot = self.cast.bot.id

        def post(stamp: int) -> Post:
            made = Post(stamp, stamp, channel, root, bot, text)
            return self._open_ledger.add(made, f"{bot}:aside:{nonce}", ())

        return await self._sure(post)

    def working(self, channel: str, root: int | None, work: str) -> None:
        """Show for some seconds that the bot is at work, and at which."""
        self._tell_all(Working(channel, root, work))

    def note(
        self,
        to: str,
        channel: str,
        root: int | None,
        text: str,
        found: Mapping[str, Any] | None = None,
        download: str = "",
    ) -> None:
        """Show a sentence, what was found, or where a file is, to one person."""
        self._notes += 1
        self._tell_all(Note(self._notes, self._stamped, to, channel, root, text, found, download))

    # What anybody reads. Who may is for the caller to ask `place`.

    def place(self, person: str, channel: str) -> Channel:
        """The channel, for somebody who may read it; `NotThere` for everybody else."""
        if not self.cast.may_read(person, channel):
            raise NotThere("There is no such channel for you.")
        return self.cast.channels[channel]

    async def get(self, position: int) -> Post | None:
        return await self._in_thread(self._open_ledger.get, position)

    async def page(self, channel: str, root: int | None, before: int | None, limit: int) -> list[Post]:
        """The newest posts of a channel or thread before a position, ascending; deleted ones included."""
        return await self._in_thread(self._open_ledger.page, channel, root, before, limit)

    async def news(self, channels: Collection[str], since: int, limit: int) -> list[Post]:
        """What changed after the stamp `since`, in the order in which it did."""
        return await self._in_thread(self._open_ledger.news, channels, since, limit)

    async def earlier(self, channel: str, before: int) -> bool:
        """Whether the channel ever held a post of its own before that position."""
        return await self._in_thread(self._open_ledger.earlier, channel, before)

    async def of_turn(self, channel: str, turn: int, asked: int) -> list[Post]:
        return await self._in_thread(self._open_ledger.of_turn, channel, turn, asked)

    async def tallies(self, channel: str, roots: Collection[int]) -> dict[int, Tally]:
        return await self._in_thread(self._open_ledger.tallies, channel, roots)

    async def file(self, id: str) -> tuple[File, Post | None] | None:
        return await self._in_thread(self._open_ledger.file, id)

    async def content(self, id: str) -> bytes | None:
        return await self._in_thread(self._open_ledger.content, id)

    @property
    def newest(self) -> int:
        """The last stamp that was given out. Raises `RoomUnavailable` while the room is closed."""
        if self._ledger is None:
            raise RoomUnavailable(CLOSED)
        return self._stamped

    @staticmethod
    def stamp_of(when: datetime) -> int:
        return (when - _EPOCH) // timedelta(microseconds=1)

    @staticmethod
    def time_of(stamp: int) -> datetime:
        return _EPOCH + timedelta(microseconds=stamp)

    def now(self) -> datetime:
        return self._now()

    @property
    def _open_ledger(self) -> Ledger:
        if self._ledger is None:
            raise RoomUnavailable(CLOSED)
        return self._ledger

    def _checked(self, text: str, has_files: bool) -> str:
        words = clean(text)
        if not words and not has_files:
            raise Refused("Write something first.")
        if len(words) > MOST_PERSON_CHARS:
            raise Refused(
                f"That is {len(words):,} characters; a message takes {MOST_PERSON_CHARS:,}. "
                "Send it in pieces, or as a file."
            )
        return words

    def _check_bot_text(self, text: str) -> None:
        if len(text) > MOST_BOT_CHARS:
            raise Refused(f"A post of the bot takes {MOST_BOT_CHARS:,} characters, not {len(text):,}.")

    async def _check_root(self, place: Channel, root: int | None) -> None:
        if root is None:
            return
        first = None if place.kind is Kind.DIRECT else await self.get(root)
        if first is None or first.channel != place.id or first.root is not None:
            raise NotThere("There is no such thread here.")

    async def _there(self, person: str, position: int) -> Post:
        post = await self.get(position)
        if post is None or post.deleted or not self.cast.may_read(person, post.channel):
            raise NotThere("That message is not there any more.")
        return post

    async def _own(self, person: str, position: int) -> Post:
        post = await self._there(person, position)
        if post.author != person:
            raise Refused("Only who wrote a message can change it.")
        return post

    async def _sure(self, change: Callable[[int], Post | None]) -> Post:
        post = await self._write(change)
        if post is None:
            raise NotThere("That message is not there any more.")
        return post

    async def _write(self, change: Callable[[int], Post | None]) -> Post | None:
        """Commit and tell; both happen even when the caller is cancelled in between."""
        task = asyncio.create_task(self._commit(change))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)
        return await asyncio.shield(task)

    async def _commit(self, change: Callable[[int], Post | None]) -> Post | None:
        news = await self._in_thread(self._apply, change)
        if news is None:
            return None
        self._tell_all(news)
        return news.post

    def _apply(self, change: Callable[[int], Post | None]) -> Posted | None:
        """In the ledger's thread: stamps are given out here, so that they ascend as commits do."""
        self._stamped = max(self.stamp_of(self._now()), self._stamped + 1)
        post = change(self._stamped)
        if post is None:
            return None
        tally = (
            None if post.root is None else self._open_ledger.tallies(post.channel, (post.root,))[post.root]
        )
        return Posted(post, tally)

    def _tell_all(self, news: News) -> None:
        for listener in tuple(self._listeners):
            listener(news)

    def _in_thread(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
        return self._mapped(functools.partial(call, *args, **kwargs))

    async def _mapped(self, call: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, call)
        except (sqlite3.Error, OSError) as exc:
            raise RoomUnavailable(f"The playground's file {self._path} can't be used: {exc}") from exc


def _file_name(name: str) -> str:
    """The last part of a path, without what no file system or header takes."""
    last = clean(name).replace("\\", "/").rsplit("/", 1)[-1]
    return re.sub(r"[\x00-\x1f\x7f\"]", "_", last)[:MOST_NAME_CHARS].strip(". ") or "file"
