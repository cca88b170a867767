"""The posts of one reply in the room, for the reply writer that all platforms share."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from adapters.posts import Limits, Showing, Work
from adapters.web.ledger import Mark
from adapters.web.news import NotThere, Refused, RoomUnavailable
from adapters.web.room import MOST_BOT_CHARS, Room
from adapters.web.translate import root_of
from bot.domain import Turn
from bot.errors import PlatformForbidden, PlatformUnavailable, PostGone

LIMITS = Limits(post_length=MOST_BOT_CHARS)


class RoomPosts:
    """`Posts` of the playground. Posting a part twice gives the first post back."""

    limits = LIMITS

    def __init__(self, room: Room, turn: Turn) -> None:
        self._room = room
        self._turn = turn
        self._channel = turn.key.channel
        self._root = root_of(turn.key)

    async def create(self, number: int, text: str, showing: Showing) -> int:
        with ours():
            post = await self._room.post_as_bot(self._channel, self._root, text, self._mark(number, showing))
        return post.position

    async def change(self, position: int, text: str, showing: Showing) -> None:
        with ours():
            await self._room.change_as_bot(position, text, showing.value)

    async def remove(self, position: int) -> None:
        with ours():
            await self._room.remove_as_bot(position)

    async def create_file(self, number: int, name: str, content: str) -> int:
        mark = self._mark(number, Showing.EARLIER)
        with ours():
            post = await self._room.post_as_bot(self._channel, self._root, "", mark, (name, content))
        return post.position

    async def ours(self) -> Sequence[int]:
        with ours():
            posts = await self._room.of_turn(self._channel, self._turn.id, self._turn.asked[-1])
        return [post.position for post in posts]

    async def working(self, work: Work) -> None:
        self._room.working(self._channel, self._root, work.value)

    def _mark(self, number: int, showing: Showing) -> Mark:
        return Mark(self._turn.id, number, self._turn.asked[-1], showing.value)


@contextmanager
def ours() -> Iterator[None]:
    """Let what the room refuses leave as the core's errors."""
    try:
        yield
    except NotThere as exc:
        raise PostGone(str(exc)) from exc
    except Refused as exc:
        raise PlatformForbidden(str(exc)) from exc
    except RoomUnavailable as exc:
        raise PlatformUnavailable(str(exc)) from exc
