"""What every platform promises the core, said once.

A platform's test file subclasses `PlatformContract` and gives it a fixture `harness`. The harness
drives the platform's own server (a fake one) as people and trouble would, never the adapter.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import pytest

from bot.domain import (
    Addressed,
    Answer,
    Author,
    Button,
    Deleted,
    Edited,
    Event,
    Order,
    Outcome,
    Pressed,
    Receipt,
    Said,
    SessionKey,
    Speaker,
    Turn,
)
from bot.errors import LeaseLost
from bot.ports import Platform
from tests.fakes.posts import FakeJournal

WAIT_S = 15.0
POLL_S = 0.01
PINGS = (
    "Hey @everyone and @here, <!channel> <!here> <!everyone> <!subteam^S0001> <@{person}> <@&1> <@!{person}>"
)

E = TypeVar("E")


class Heard:
    """The core, as far as a platform can tell: everything is kept, and nothing answered."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.orders: list[Order] = []

    async def handle(self, event: Event) -> Receipt:
        """The `Handler` to open the platform with."""
        self.events.append(event)
        return Receipt.KEPT

    async def take(self, order: Order) -> str:
        """The `Desk` to open the platform with."""
        self.orders.append(order)
        return "Done."

    async def of(self, kind: type[E], fits: Callable[[E], bool] = lambda _: True) -> E:
        """The first event of that kind that fits, once it is there."""

        async def look() -> list[E]:
            return [event for event in self.events if isinstance(event, kind) and fits(event)]

        return (await eventually(look, bool))[0]


@dataclass(frozen=True, slots=True)
class Shown:
    """A post of the bot, as the platform's server has it."""

    position: int
    text: str
    """The Markdown; for a file its content."""
    file: str = ""
    """Its name, if it is one."""


class Harness(Protocol):
    """A platform that is open, with `heard` behind it, and the hands to shake its server.

    What cannot happen on a platform (nothing throttles there, say) is a `pytest.skip` that says so.
    """

    platform: Platform
    heard: Heard
    person: Author
    """Who speaks. There is a channel that this person and the bot are in."""
    post_length: int
    """What the platform's server takes, in characters."""

    async def say(
        self, text: str, *, to_bot: bool = False, thread: SessionKey | None = None, file: bytes | None = None
    ) -> int:
        """Let the person say `text` in the channel or the thread, and return the position.

        `to_bot` puts a mention before it, as the platform writes one; `file` attaches a text file.
        """

    async def edit(self, said: Said, text: str) -> None:
        """Let the person edit what they said."""

    async def delete(self, said: Said) -> None:
        """Let the person delete what they said."""

    async def press(self, key: SessionKey, position: int, button: Button) -> None:
        """Let the person press a button below a post of the bot, which must be there."""

    async def posts(self, key: SessionKey) -> list[Shown]:
        """The bot's posts in the thread, ascending; deleted ones are not among them."""

    async def kill(self, key: SessionKey, position: int) -> None:
        """Let a moderator delete a post of the bot."""

    def throttle(self, calls: int, retry_after_s: float) -> None:
        """Refuse the next calls that post or edit, as the platform does when it wants less."""

    def cut(self) -> None:
        """Carry out the next call that posts, and break the connection before the answer."""

    async def pings(self) -> list[str]:
        """Whom posts of the bot have notified so far, by whatever names."""

    async def told(self) -> list[str]:
        """What the person was told alone (or, where the platform can't do that, by reply)."""


async def eventually(look: Callable[[], Awaitable[E]], fits: Callable[[E], Any]) -> E:
    """What `look` finds once it fits. The platform's server is on the other side of a socket."""
    found = await look()
    try:
        async with asyncio.timeout(WAIT_S):
            while not fits(found):
                await asyncio.sleep(POLL_S)
                found = await look()
    except TimeoutError:
        raise AssertionError(f"not within {WAIT_S} s; last seen: {found!r}") from None
    return found


def journal_of(said: Said) -> FakeJournal:
    """The journal of a fresh turn that answers `said`."""
    position = said.message.position
    number = position % 1_000_000_007
    return FakeJournal(Turn(number, 1, said.key, (position,), position, 1, 1, said.message.author))


async def asked(harness: Harness, text: str = "What is up?") -> Said:
    """A mention in the channel, as the core hears of it."""
    position = await harness.say(text, to_bot=True)
    return await harness.heard.of(Said, lambda said: said.message.position == position)


async def answered(harness: Harness, text: str = "Hello.") -> Said:
    """A mention that the bot has answered."""
    said = await asked(harness)
    reply = await harness.platform.open_reply(journal_of(said))
    await reply.finish(Answer(text))
    return said


async def texts(harness: Harness, key: SessionKey) -> list[str]:
    """What people read of the bot there."""
    return [post.text for post in await harness.posts(key)]


class PlatformContract:
    """The promises. Each test begins with an open platform to which nothing was said."""

    # What people do reaches the core.

    async def test_a_mention_is_heard_without_the_mention(self, harness: Harness) -> None:
        position = await harness.say("What is up?", to_bot=True)
        said = await harness.heard.of(Said)
        assert said.message.position == position
        assert said.message.text == "What is up?"
        assert said.message.author == harness.person
        assert said.message.author.kind is Speaker.PERSON
        assert said.message.sent_at.utcoffset() is not None
        assert said.addressed is Addressed.MENTION
        assert said.key.platform == harness.platform.name
        assert all((said.key.workspace, said.key.channel, said.key.thread))

    async def test_every_delivery_of_a_message_is_the_same_value(self, harness: Harness) -> None:
        said = await answered(harness)
        position = await harness.say("And then?", thread=said.key)
        await harness.heard.of(Said, lambda event: event.message.position == position)
        for event in harness.heard.events:
            if isinstance(event, Said) and event.message.position == said.message.position:
                assert event == said

    async def test_what_follows_in_the_thread_is_of_the_same_session(self, harness: Harness) -> None:
        said = await answered(harness)
        position = await harness.say("And then?", thread=said.key)
        later = await harness.heard.of(Said, lambda event: event.message.position == position)
        assert later.key == said.key
        assert later.addressed is Addressed.THREAD
        assert not later.opens_thread
        assert later.message.position > said.message.position

    async def test_an_edit_is_heard(self, harness: Harness) -> None:
        said = await asked(harness)
        await harness.edit(said, "What is down?")
        edited = await harness.heard.of(Edited)
        assert edited.key == said.key
        assert edited.message.position == said.message.position
        assert edited.message.text == "What is down?"
        assert edited.message.edited_at is not None

    async def test_a_deletion_is_heard(self, harness: Harness) -> None:
        said = await answered(harness)
        position = await harness.say("Forget that.", thread=said.key)
        later = await harness.heard.of(Said, lambda event: event.message.position == position)
        await harness.delete(later)
        assert await harness.heard.of(Deleted) == Deleted(said.key, position)

    async def test_what_the_bot_does_is_not_heard(self, harness: Harness) -> None:
        said = await asked(harness)
        reply = await harness.platform.open_reply(journal_of(said))
        await reply.show("Hel")
        await eventually(lambda: texts(harness, said.key), bool)
        await reply.finish(Answer("Hello."))
        position = await harness.say("Thanks.", thread=said.key)
        await harness.heard.of(Said, lambda event: event.message.position == position)
        assert {event.message.position for event in harness.heard.events if isinstance(event, Said)} == {
            said.message.position,
            position,
        }
        assert not [event for event in harness.heard.events if isinstance(event, Edited | Deleted)]

    async def test_a_button_is_heard(self, harness: Harness) -> None:
        said = await answered(harness)
        (post,) = await harness.posts(said.key)
        await harness.press(said.key, post.position, Button.GOOD)
        pressed = await harness.heard.of(Pressed)
        assert (pressed.key, pressed.asked, pressed.button) == (
            said.key,
            said.message.position,
            Button.GOOD,
        )
        assert pressed.by.id == harness.person.id

    async def test_a_growing_reply_can_be_stopped(self, harness: Harness) -> None:
        said = await asked(harness)
        reply = await harness.platform.open_reply(journal_of(said))
        await reply.show("One, two")
        (post,) = await eventually(lambda: harness.posts(said.key), bool)
        await harness.press(said.key, post.position, Button.STOP)
        assert (await harness.heard.of(Pressed)).button is Button.STOP
        await reply.finish(Answer("One, two", Outcome.STOPPED))

    # Replies.

    async def test_a_short_reply_is_one_post(self, harness: Harness) -> None:
        said = await asked(harness)
        reply = await harness.platform.open_reply(journal_of(said))
        (part,) = await reply.finish(Answer("Hello."))
        (post,) = await harness.posts(said.key)
        assert (post.position, post.text) == (part.position, "Hello.")
        assert post.position > said.message.position

    async def test_a_reply_grows_in_place(self, harness: Harness) -> None:
        said = await asked(harness)
        journal = journal_of(said)
        reply = await harness.platform.open_reply(journal)
        for text in ("One", "One, two", "One, two, three"):
            await reply.show(text)
            shown = await eventually(lambda: texts(harness, said.key), lambda t, text=text: t == [text])
            assert len(shown) == 1
        (part,) = await reply.finish(Answer("One, two, three, four."))
        assert await texts(harness, said.key) == ["One, two, three, four."]
        assert journal.positions == {1: part.position}

    async def test_a_note_stands_below_the_text(self, harness: Harness) -> None:
        said = await asked(harness)
        reply = await harness.platform.open_reply(journal_of(said))
        await reply.finish(Answer("Hello.", note="Older messages were left out."))
        (text,) = await texts(harness, said.key)
        assert text.startswith("Hello.")
        assert "Older messages were left out." in text

    async def test_an_empty_answer_is_still_a_post(self, harness: Harness) -> None:
        said = await answered(harness, "")
        (text,) = await texts(harness, said.key)
        assert text.strip()

    @pytest.mark.parametrize("over", [-1, 0, 1])
    async def test_a_reply_around_the_limit(self, harness: Harness, over: int) -> None:
        said = await answered(harness, "x" * (harness.post_length + over))
        shown = await texts(harness, said.key)
        assert "".join(shown) == "x" * (harness.post_length + over)
        assert len(shown) == (2 if over > 0 else 1)

    async def test_a_long_reply_takes_several_posts(self, harness: Harness) -> None:
        said = await asked(harness)
        journal = journal_of(said)
        line = "print('👩‍👩‍👧 漢字')\n"
        text = "Intro.\n\n```py\n" + line * (2 * harness.post_length // len(line)) + "```\nDone."
        reply = await harness.platform.open_reply(journal)
        await reply.show(text[: harness.post_length // 2])
        parts = await reply.finish(Answer(text))
        posts = await harness.posts(said.key)
        assert len(posts) in {3, 4}
        assert [post.position for post in posts] == [part.position for part in parts]
        assert [part.number for part in parts] == [number + 1 for number in range(len(posts))]
        assert parts[-1].end == len(text)
        assert all(len(post.text) <= harness.post_length for post in posts)
        assert all(post.text.count("```") == 2 for post in posts)
        assert sum(post.text.count(line.strip()) for post in posts) == text.count(line)

    async def test_the_rest_of_a_very_long_reply_is_a_file(self, harness: Harness) -> None:
        said = await asked(harness)
        words = [f"word{number}" for number in range(harness.post_length)]
        reply = await harness.platform.open_reply(journal_of(said))
        parts = await reply.finish(Answer(" ".join(words)))
        *posts, file = await harness.posts(said.key)
        assert file.file
        assert not any(post.file for post in posts)
        assert file.text.split()[-1] == words[-1]
        assert file.file in posts[-1].text
        assert [part.position for part in parts] == [post.position for post in (*posts, file)]

    async def test_nobody_is_pinged(self, harness: Harness) -> None:
        said = await asked(harness)
        text = PINGS.format(person=harness.person.id)
        reply = await harness.platform.open_reply(journal_of(said))
        await reply.show(text)
        await eventually(lambda: texts(harness, said.key), bool)
        await reply.show(f"{text} {text}")
        await reply.finish(Answer(f"{text} {text} {text}", note=text))
        await harness.platform.tell(said.key, harness.person, text)
        assert await harness.pings() == []

    # Trouble.

    async def test_throttled_calls_are_made_later(self, harness: Harness) -> None:
        said = await asked(harness)
        reply = await harness.platform.open_reply(journal_of(said))
        harness.throttle(2, 0.2)
        await reply.show("Hel")
        await eventually(lambda: texts(harness, said.key), bool)
        harness.throttle(1, 0.2)
        await reply.finish(Answer("Hello."))
        assert await texts(harness, said.key) == ["Hello."]

    async def test_a_post_whose_answer_was_cut_off_is_not_made_twice(self, harness: Harness) -> None:
        said = await asked(harness)
        reply = await harness.platform.open_reply(journal_of(said))
        harness.cut()
        (part,) = await reply.finish(Answer("Hello."))
        (post,) = await harness.posts(said.key)
        assert (post.position, post.text) == (part.position, "Hello.")

    async def test_the_same_while_it_grows(self, harness: Harness) -> None:
        said = await asked(harness)
        reply = await harness.platform.open_reply(journal_of(said))
        harness.cut()
        await reply.show("Hel")
        await eventually(lambda: texts(harness, said.key), bool)
        await reply.show("Hello")
        await eventually(lambda: texts(harness, said.key), lambda shown: shown == ["Hello"])
        await reply.finish(Answer("Hello."))
        assert await texts(harness, said.key) == ["Hello."]

    async def test_a_lost_lease_stops_everything(self, harness: Harness) -> None:
        said = await asked(harness)
        journal = journal_of(said)
        reply = await harness.platform.open_reply(journal)
        await reply.show("Hel")
        await eventually(lambda: texts(harness, said.key), bool)
        journal.lost = True
        with pytest.raises(LeaseLost):
            await reply.finish(Answer("Hello."))
        await reply.abandon()
        assert await texts(harness, said.key) == ["Hel"]

    async def test_a_reply_is_taken_over_in_place(self, harness: Harness) -> None:
        said = await asked(harness)
        journal = journal_of(said)
        reply = await harness.platform.open_reply(journal)
        await reply.show("Half of an ans")
        (post,) = await eventually(lambda: harness.posts(said.key), bool)
        await eventually(lambda: _positions(journal), bool)
        await reply.abandon()
        other = await harness.platform.open_reply(journal.taken_over())
        (part,) = await other.finish(Answer("A whole answer."))
        assert part.position == post.position
        assert await texts(harness, said.key) == ["A whole answer."]

    async def test_a_post_that_no_row_names_is_found_by_the_takeover(self, harness: Harness) -> None:
        said = await asked(harness)
        journal = journal_of(said)
        reply = await harness.platform.open_reply(journal)
        await reply.show("Half of an ans")
        (post,) = await eventually(lambda: harness.posts(said.key), bool)
        await reply.abandon()
        journal.positions.clear()
        other = await harness.platform.open_reply(journal.taken_over())
        (part,) = await other.finish(Answer("A whole answer."))
        assert part.position == post.position
        assert await texts(harness, said.key) == ["A whole answer."]

    async def test_a_whole_reply_that_no_row_names_is_found_too(self, harness: Harness) -> None:
        said = await asked(harness)
        journal = journal_of(said)
        reply = await harness.platform.open_reply(journal)
        (part,) = await reply.finish(Answer("A whole answer."))
        other = await harness.platform.open_reply(journal.taken_over())
        assert [p.position for p in await other.finish(Answer("Another answer."))] == [part.position]
        assert await texts(harness, said.key) == ["Another answer."]

    async def test_a_takeover_posts_what_is_not_there(self, harness: Harness) -> None:
        said = await asked(harness)
        reply = await harness.platform.open_reply(journal_of(said).taken_over())
        await reply.finish(Answer("Hello."))
        assert await texts(harness, said.key) == ["Hello."]

    async def test_a_takeover_leaves_other_answers_alone(self, harness: Harness) -> None:
        said = await answered(harness)
        (earlier,) = await harness.posts(said.key)
        position = await harness.say("And then?", to_bot=True, thread=said.key)
        later = await harness.heard.of(Said, lambda event: event.message.position == position)
        journal = journal_of(later)
        journal.others.add(earlier.position)
        reply = await harness.platform.open_reply(journal.taken_over())
        await reply.finish(Answer("Then this."))
        assert await texts(harness, said.key) == ["Hello.", "Then this."]

    async def test_a_post_that_was_deleted_stays_deleted(self, harness: Harness) -> None:
        said = await asked(harness)
        journal = journal_of(said)
        reply = await harness.platform.open_reply(journal)
        await reply.show("Hel")
        (post,) = await eventually(lambda: harness.posts(said.key), bool)
        await harness.kill(said.key, post.position)
        (part,) = await reply.finish(Answer("Hello."))
        assert (part.number, part.position) == (1, None)
        assert await texts(harness, said.key) == []

    async def test_a_deleted_post_of_the_bot_is_heard(self, harness: Harness) -> None:
        said = await answered(harness)
        (post,) = await harness.posts(said.key)
        await harness.kill(said.key, post.position)
        assert await harness.heard.of(Deleted) == Deleted(said.key, post.position)

    # What the core asks for.

    async def test_history_is_the_newest_before_a_position(self, harness: Harness) -> None:
        said = await answered(harness)
        for text in ("one", "two", "three"):
            await harness.say(text, thread=said.key)
        last = await harness.say("four", thread=said.key)
        history = await harness.platform.history(said.key, last, 2)
        assert [message.text for message in history.messages] == ["two", "three"]
        assert not history.whole

    async def test_history_tells_what_was_said_later_as_it_was_heard(self, harness: Harness) -> None:
        said = await answered(harness)
        one, two = [await harness.say(text, thread=said.key) for text in ("one", "two")]
        heard = await harness.heard.of(Said, lambda event: event.message.position == two)
        history = await harness.platform.history(said.key, one, 50)
        assert history.later == (heard,)

    async def test_history_reaches_back_to_the_first_message(self, harness: Harness) -> None:
        said = await answered(harness)
        last = await harness.say("one", thread=said.key)
        history = await harness.platform.history(said.key, last, 50)
        first, reply = history.messages
        assert first == said.message
        assert (reply.text, reply.author.kind) == ("Hello.", Speaker.BOT)
        assert history.whole

    async def test_a_file_is_fetched_up_to_a_size(self, harness: Harness) -> None:
        position = await harness.say("Look at this.", to_bot=True, file=b"some text")
        said = await harness.heard.of(Said, lambda event: event.message.position == position)
        (attachment,) = said.message.attachments
        assert attachment.size in {0, len(b"some text")}
        assert await harness.platform.fetch(attachment, len(b"some text")) == b"some text"
        assert await harness.platform.fetch(attachment, len(b"some text") - 1) is None

    async def test_one_person_is_told_something(self, harness: Harness) -> None:
        said = await answered(harness)
        await harness.platform.tell(said.key, harness.person, "Between us.")
        assert any("Between us." in text for text in await eventually(harness.told, bool))

    async def test_it_is_well(self, harness: Harness) -> None:
        assert harness.platform.ailing() == ""


async def _positions(journal: FakeJournal) -> dict[int, int]:
    return journal.positions
