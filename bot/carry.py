"""`threadfly export` and `threadfly import`: pieces go by in a stream, however many there are."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from typing import Any, Final, Protocol, Self, TextIO

from bot.cleaning import clean_message
from bot.domain import SessionKey
from bot.errors import ThreadflyError
from bot.lines import Unreadable
from bot.printed import Printer
from bot.sheets import Absence, Answered, Counted, Entry, Piece, Scope, Sheet

TOGETHER = 100
"""Messages that are taken in by one transaction."""
AT_ONCE = 4
"""Transactions under way, of one session each: a database answers several as fast as one."""

_WHAT_TO_DO: Final = (
    "What comes before it was taken in; mend the file and import it again, what is there is passed over"
)

Tick = Callable[[int], None]
"""Told how many messages have just gone by."""


class Carrier(Protocol):
    """Where pieces come from and go to."""

    async def count(self, scope: Scope) -> int:
        """How many messages there are."""

    def out(self, scope: Scope) -> AsyncIterator[Piece]:
        """Every piece."""

    async def take_in(
        self, sheet: Sheet, entries: Sequence[Entry], answered: Sequence[Answered] = ()
    ) -> Counted:
        """Archive what is not there yet and may be."""

    async def keep_away(self, absences: Sequence[Absence]) -> None:
        """Take over what must not come back."""


def scope_of(session: str, workspace: str) -> Scope | None:
    """What `--session` or `--workspace` name; None unless it is just one of them, and well formed."""
    named, count = (session, 4) if session else (workspace, 2)
    found = tuple(named.split(":"))
    if bool(session) == bool(workspace) or len(found) != count or not all(found):
        return None
    return Scope(*found)


def key_of(text: str) -> SessionKey | None:
    """A session's key as it is written in exports and logs; None if it is none."""
    scope = scope_of(text, "")
    return SessionKey(*scope) if scope else None


async def write_out(carrier: Carrier, scope: Scope, printer: Printer, to: TextIO, tick: Tick) -> int:
    """Write what there is; how many messages."""
    to.write(printer.before())
    count = 0
    async for piece in carrier.out(scope):
        to.write(printer.piece(piece))
        if isinstance(piece, Entry):
            count += 1
            tick(1)
    to.write(printer.after())
    return count


async def read_in(carrier: Carrier, pieces: Iterable[Piece], tick: Tick) -> Counted:
    """Take in what there is; of a file that is broken what comes before that. Raises `Unreadable`."""
    async with _Lanes() as lanes:
        basket = _Basket(carrier, tick, lanes)
        try:
            for piece in pieces:
                await basket.put(piece)
        except Unreadable as error:
            await basket.empty()
            await lanes.finish()
            if basket.counted == Counted(0, 0):
                raise
            raise Unreadable(f"{error}. {_WHAT_TO_DO}") from None
        await basket.empty()
        await lanes.finish()
        return basket.counted


class _Lanes:
    """Work of several sessions at once; that of one session in its order. The first failure ends it all."""

    def __init__(self) -> None:
        self._under_way: dict[Sheet, asyncio.Task[None]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._under_way.values():
            task.cancel()
        await asyncio.gather(*self._under_way.values(), return_exceptions=True)

    async def send(self, sheet: Sheet, work: Coroutine[Any, Any, None]) -> None:
        """Begin it, as soon as there is room and what was sent for the same sheet is done."""
        try:
            while sheet in self._under_way or len(self._under_way) >= AT_ONCE:
                await self._some()
        except BaseException:
            work.close()
            raise
        self._under_way[sheet] = asyncio.create_task(work)

    async def finish(self) -> None:
        """Until all is done."""
        while self._under_way:
            await self._some()

    async def _some(self) -> None:
        await asyncio.wait(self._under_way.values(), return_when=asyncio.FIRST_COMPLETED)
        for sheet, task in [*self._under_way.items()]:
            if task.done():
                del self._under_way[sheet]
                task.result()


class _Basket:
    """What is taken in together next: some of one session, or some of what must not come back."""

    def __init__(self, carrier: Carrier, tick: Tick, lanes: _Lanes) -> None:
        self._carrier = carrier
        self._tick = tick
        self._lanes = lanes
        self._sheet: Sheet | None = None
        self._entries: list[Entry] = []
        self._answered: list[Answered] = []
        self._absences: list[Absence] = []
        self.counted = Counted(0, 0)

    async def put(self, piece: Piece) -> None:
        match piece:
            case Absence():
                self._absences.append(piece)
            case Sheet():
                await self.empty()
                self._sheet = piece
            case Entry():
                self._entries.append(Entry(clean_message(piece.message), piece.gesture))
            case Answered():
                self._answered.append(piece)
        if max(len(self._entries), len(self._answered), len(self._absences)) >= TOGETHER:
            await self.empty()

    async def empty(self) -> None:
        if self._absences:
            await self._carrier.keep_away(self._absences)
        if self._entries or self._answered:
            if self._sheet is None:
                raise ThreadflyError("there are messages before any session: this is no whole file")
            await self._lanes.send(self._sheet, self._take_in(self._sheet, self._entries, self._answered))
        self._entries, self._answered, self._absences = [], [], []

    async def _take_in(self, sheet: Sheet, entries: Sequence[Entry], answered: Sequence[Answered]) -> None:
        more = await self._carrier.take_in(sheet, entries, answered)
        self.counted = Counted(self.counted.messages + more.messages, self.counted.left_out + more.left_out)
        self._tick(len(entries))
