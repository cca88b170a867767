"""Loading windows, as far as it needs no store."""

from collections.abc import Sequence
from datetime import UTC, datetime

from bot.domain import Author, Closed, Message, SessionKey, Speaker, Turn, Window
from bot.windows import LastReads, WindowLoader
from storage.hot import NoContext
from tests.fakes.core import Unobserved

ANN = Author("U1", "Ann")
KEY = SessionKey("web", "w", "c", "1")
QUESTION = Message(5, ANN, "What is up?", datetime(2026, 1, 1, tzinfo=UTC))
REPLY = Message(6, Author("B", "Threadfly", Speaker.BOT), "All is well.", datetime(2026, 1, 1, tzinfo=UTC))


class Shelf:
    """A `WindowStore` that tells when it is read."""

    def __init__(self) -> None:
        self.reads = 0

    async def newest(self, session_id: int, limit: int, cut: int = 0) -> Window:
        self.reads += 1
        return Window(2, (QUESTION,), whole=True)

    async def between(self, session_id: int, after: int, before: int, limit: int) -> tuple[Message, ...]:
        raise AssertionError


class Seeds(NoContext):
    """A hot context without anything in it."""

    def __init__(self) -> None:
        super().__init__()
        self.seeded: list[Window] = []
        self.appended: list[tuple[int, tuple[Message, ...]]] = []

    async def seed(self, session_id: int, window: Window) -> None:
        self.seeded.append(window)

    async def append(self, session_id: int, version: int, news: Sequence[Message]) -> None:
        self.appended.append((version, tuple(news)))


async def loaded(version: int, news: Sequence[Message]) -> tuple[Window, Shelf, Seeds]:
    shelf, hot = Shelf(), Seeds()
    loader = WindowLoader(hot, shelf, 100, Unobserved(), LastReads())
    window = await loader.load(Turn(1, 1, KEY, (5,), 5, 1, version, ANN), news)
    return window, shelf, hot


async def test_the_message_that_made_a_session_is_its_window() -> None:
    window, shelf, hot = await loaded(1, [QUESTION])
    assert window == Window(1, (QUESTION,), whole=True)
    assert shelf.reads == 0
    assert hot.seeded == []


async def kept(asked_version: int, asked: Sequence[Message], closed: Closed) -> Seeds:
    hot = Seeds()
    loader = WindowLoader(hot, Shelf(), 100, Unobserved(), LastReads())
    await loader.keep(Turn(1, 1, KEY, (5,), 5, 1, asked_version, ANN), asked, closed)
    return hot


async def test_once_the_first_message_is_answered_both_are_hot() -> None:
    hot = await kept(1, [QUESTION], Closed(2, REPLY, None))
    assert (hot.seeded, hot.appended) == ([Window(2, (QUESTION, REPLY), whole=True)], [])


async def test_what_was_said_while_the_first_was_answered_is_not_left_out_of_the_window() -> None:
    hot = await kept(1, [QUESTION], Closed(3, REPLY, None))
    assert (hot.seeded, hot.appended) == ([], [(3, (REPLY,))])


async def test_a_later_reply_is_appended() -> None:
    hot = await kept(4, [QUESTION], Closed(5, REPLY, None))
    assert (hot.seeded, hot.appended) == ([], [(5, (REPLY,))])


async def test_a_turn_that_is_taken_over_reads_even_a_session_of_one_message() -> None:
    window, shelf, _ = await loaded(1, [])
    assert (window.version, shelf.reads) == (2, 1)


async def test_a_later_message_is_not_taken_for_the_whole() -> None:
    _, shelf, _ = await loaded(2, [QUESTION])
    assert shelf.reads == 1
