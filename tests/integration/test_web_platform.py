"""The playground's room and its adapter, through the doors that the page and the core use."""

import asyncio
import contextlib
import io
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from adapters.posts import Showing
from adapters.web.cast import Cast
from adapters.web.guard import COOKIE
from adapters.web.news import NotThere, Refused
from adapters.web.platform import WebPlatform
from adapters.web.posts import RoomPosts
from adapters.web.room import CLOSED, MOST_FILE_BYTES, Room
from bot.domain import (
    Addressed,
    Answer,
    Author,
    Button,
    Deleted,
    Edited,
    Event,
    Message,
    Outcome,
    Part,
    Pressed,
    Said,
    SessionKey,
    Speaker,
)
from bot.errors import PlatformForbidden, PlatformUnavailable, PostGone
from bot.finding import Known
from bot.ports import Reply
from tests.fakes.playground import WAIT_S, Core, Marks, now, opened, page_server, served, turn_of
from tests.fakes.posts import FakeJournal

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)


def key(thread: int | str, channel: str = "general") -> SessionKey:
    return SessionKey("web", "playground", channel, str(thread))


def said(event: Event) -> bool:
    return isinstance(event, Said)


class Unknown(Known):
    """An archive that need not be asked."""


async def silent(core: Core, reply: Reply, said: Said) -> None:
    await reply.abandon()


@contextlib.asynccontextmanager
async def client(
    core: Core, folder: Path, token: str = ""
) -> AsyncIterator[tuple[aiohttp.ClientSession, str]]:
    """A visitor without a browser, and the address of the playground."""
    async with (
        served(folder, core, token=token) as (_, server),
        aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as visitor,
    ):
        yield visitor, server.url


# What the core hears.


async def test_a_mention_in_a_channel_opens_a_thread_under_it(tmp_path: Path) -> None:
    core = Core(silent)
    async with opened(tmp_path, core) as platform:
        post = await platform.room.say("joe", "general", None, "@threadfly My name is Joe")
        event = await core.heard(said)
    assert isinstance(event, Said)
    assert event.key == key(post.position)
    assert (event.addressed, event.opens_thread, event.answer) == (Addressed.MENTION, True, True)
    assert event.message.text == "My name is Joe"
    assert event.message.author == Author("joe", "Joe", Speaker.PERSON)
    assert event.message.position == post.position
    assert Room.stamp_of(event.message.sent_at) == post.position


async def test_what_is_said_in_a_channel_to_nobody_is_not_the_bots_business(tmp_path: Path) -> None:
    core = Core(silent)
    async with opened(tmp_path, core) as platform:
        await platform.room.say("joe", "general", None, "lunch?")
        await platform.room.say("joe", "general", None, "@mei lunch?")
        await platform.room.say("joe", "general", None, "@threadfly hello")
        await core.heard(said)
    assert [event.message.text for event in core.events if isinstance(event, Said)] == ["hello"]


async def test_replies_are_for_the_thread_and_asides_for_other_people(tmp_path: Path) -> None:
    core = Core(silent)
    async with opened(tmp_path, core) as platform:
        root = (await platform.room.say("joe", "general", None, "@threadfly hello")).position
        for text in ("and another thing", "@mei what do you think?", "@mei and @threadfly, look"):
            await platform.room.say("ann", "general", root, text)
        await core.heard(lambda event: isinstance(event, Said) and event.message.text.startswith("@mei and"))
    told = [(event.addressed, event.opens_thread) for event in core.events if isinstance(event, Said)]
    assert told == [
        (Addressed.MENTION, True),
        (Addressed.THREAD, False),
        (Addressed.ASIDE, False),
        (Addressed.MENTION, False),
    ]
    assert {event.key for event in core.events} == {key(root)}


async def test_direct_messages_are_one_flat_session(tmp_path: Path) -> None:
    core = Core(silent)
    async with opened(tmp_path, core) as platform:
        for text in ("hello", "and more"):
            await platform.room.say("mei", "dm-mei", None, text)
        await core.heard(lambda event: isinstance(event, Said) and event.message.text == "and more")
    told = [
        (event.key, event.addressed, event.opens_thread) for event in core.events if isinstance(event, Said)
    ]
    assert told == [
        (key("main", "dm-mei"), Addressed.DIRECT, True),
        (key("main", "dm-mei"), Addressed.DIRECT, False),
    ]


async def test_a_mention_in_the_middle_of_a_thread_can_be_told_what_was_said_before(tmp_path: Path) -> None:
    core = Core(silent)
    async with opened(tmp_path, core) as platform:
        room = platform.room
        root = (await room.say("ann", "general", None, "The login page is broken")).position
        await room.say("joe", "general", root, "Since when?")
        gone = await room.say("joe", "general", root, "never mind")
        await room.delete("joe", gone.position)
        await room.say("ann", "general", None, "something else")
        asked = await room.say("mei", "general", root, "@threadfly any idea?")
        whole = await platform.history(key(root), asked.position, 10)
        newest = await platform.history(key(root), asked.position, 1)
    assert [message.text for message in whole.messages] == ["The login page is broken", "Since when?"]
    assert whole.whole
    assert [message.text for message in newest.messages] == ["Since when?"]
    assert not newest.whole


async def test_history_tells_a_reply_of_several_posts_as_one_message(tmp_path: Path) -> None:
    async with opened(tmp_path, Core(silent)) as platform:
        asked = await platform.room.say("joe", "dm-joe", None, "hello")
        posts = RoomPosts(platform.room, replace(turn_of(_said(asked.position)), key=key("main", "dm-joe")))
        first = await posts.create(1, "one", Showing.EARLIER)
        await posts.create(2, "two", Showing.DONE)
        history = await platform.history(key("main", "dm-joe"), now_stamp() + 10**9, 10)
    assert [(message.author.kind, message.text) for message in history.messages] == [
        (Speaker.PERSON, "hello"),
        (Speaker.BOT, "one\ntwo"),
    ]
    assert history.messages[1].position == first


async def test_edits_and_deletions_reach_the_core_and_ask_for_nothing(tmp_path: Path) -> None:
    core = Core(silent)
    async with opened(tmp_path, core) as platform:
        room = platform.room
        post = await room.say("joe", "general", None, "@threadfly hello")
        await core.heard(said)
        await room.edit("joe", post.position, "hello again")
        edited = await core.heard(lambda event: isinstance(event, Edited))
        await room.delete("joe", post.position)
        deleted = await core.heard(lambda event: isinstance(event, Deleted))
    assert isinstance(edited, Edited)
    assert (edited.message.text, edited.addressed) == ("hello again", Addressed.MENTION)
    assert edited.message.edited_at is not None
    assert deleted == Deleted(key(post.position), post.position)
    assert sum(said(event) for event in core.events) == 1


async def test_a_mention_that_an_edit_brought_in_is_no_question(tmp_path: Path) -> None:
    core = Core(silent)
    async with opened(tmp_path, core) as platform:
        post = await platform.room.say("joe", "general", None, "hello")
        await platform.room.edit("joe", post.position, "@threadfly hello")
        await core.heard(lambda event: isinstance(event, Edited))
    assert not any(said(event) for event in core.events)


async def test_a_button_reaches_the_core_with_what_was_asked(tmp_path: Path) -> None:
    core = Core()
    async with client(core, tmp_path) as (visitor, url):
        posts = await answered(visitor, url, "joe", "@threadfly hello")
        reply = posts[-1]
        async with visitor.post(
            f"{url}/api/post/{reply['position']}/press?as=ann", json={"button": "good"}
        ) as answer:
            assert answer.status == 200
        pressed = await core.heard(lambda event: isinstance(event, Pressed))
        root = posts[0]["position"]
        assert pressed == Pressed(key(root), root, Button.GOOD, Author("ann", "Ann"))
        again = await thread(visitor, url, "ann", root)
        assert again[-1]["vote"] == "good"


# What is not lost, and what is not said twice.


async def test_what_was_said_while_the_core_was_away_is_handed_over_at_the_next_start(tmp_path: Path) -> None:
    room = Room(tmp_path / "playground.db", Cast.of())
    await room.open()
    await room.say("joe", "general", None, "@threadfly are you there?")
    await room.close()
    core = Core(silent)
    async with opened(tmp_path, core):
        event = await core.heard(said)
    assert isinstance(event, Said)
    assert event.answer


async def test_what_is_too_old_after_an_absence_is_kept_and_not_answered(tmp_path: Path) -> None:
    room = Room(tmp_path / "playground.db", Cast.of(), lambda: datetime.now(UTC) - timedelta(minutes=16))
    await room.open()
    await room.say("joe", "general", None, "@threadfly are you there?")
    await room.close()
    core = Core(silent)
    async with opened(tmp_path, core):
        event = await core.heard(said)
    assert isinstance(event, Said)
    assert not event.answer


async def test_what_the_watermark_covers_is_not_handed_over_again(tmp_path: Path) -> None:
    marks, first, second = Marks(), Core(silent), Core(silent)
    async with opened(tmp_path, first, marks) as platform:
        old = await platform.room.say("joe", "general", None, "@threadfly old")
        async with asyncio.timeout(WAIT_S):
            await marks.moved.wait()
    assert marks.positions["general"] == old.position
    async with opened(tmp_path, second, marks) as platform:
        await platform.room.say("joe", "general", None, "@threadfly new")
        event = await second.heard(said)
    assert isinstance(event, Said)
    assert event.message.text == "new"


async def test_nothing_is_lost_while_the_archive_is_away(tmp_path: Path) -> None:
    core, marks = Core(silent), Marks()
    core.unavailable = True
    async with opened(tmp_path, core, marks) as platform:
        post = await platform.room.say("joe", "general", None, "@threadfly first")
        async with asyncio.timeout(WAIT_S):
            await core.refused.get()
            await core.refused.get()
        assert "wait" in platform.ailing()
        await platform.room.edit("joe", post.position, "@threadfly first, edited")
        await platform.room.say("joe", "general", None, "@threadfly second")
        assert not marks.positions
        core.unavailable = False
        await core.heard(lambda event: isinstance(event, Said) and event.message.text == "second")
        assert platform.ailing() == ""
    texts = {event.message.text for event in core.events if isinstance(event, Said)}
    assert texts == {"first, edited", "second"}


async def test_saying_it_again_with_the_same_nonce_says_it_once(tmp_path: Path) -> None:
    async with opened(tmp_path, Core(silent)) as platform:
        first = await platform.room.say("joe", "general", None, "hello", nonce="n1")
        again = await platform.room.say("joe", "general", None, "hello", nonce="n1")
        page = await platform.room.page("general", None, None, 10)
    assert first == again
    assert [post.position for post in page] == [first.position]


async def test_posts_outlive_the_process_and_positions_only_grow(tmp_path: Path) -> None:
    stopped = datetime(2026, 1, 2, tzinfo=UTC)
    first = Room(tmp_path / "playground.db", Cast.of(), lambda: stopped)
    await first.open()
    old = [(await first.say("joe", "general", None, str(n))).position for n in range(3)]
    await first.close()
    second = Room(tmp_path / "playground.db", Cast.of(), lambda: stopped - timedelta(days=1))
    await second.open()
    new = await second.say("joe", "general", None, "later")
    page = await second.page("general", None, None, 10)
    await second.close()
    assert [post.position for post in page] == [*old, new.position]
    assert old == sorted(set(old))


async def test_a_part_that_is_posted_twice_is_there_once(tmp_path: Path) -> None:
    async with opened(tmp_path, Core(silent)) as platform:
        root = (await platform.room.say("joe", "general", None, "@threadfly hello")).position
        posts = RoomPosts(platform.room, replace(turn_of(_said(root)), key=key(root)))
        first = await posts.create(1, "Hel", Showing.GROWING)
        assert await posts.create(1, "Hello", Showing.GROWING) == first
        assert list(await posts.ours()) == [first]
        page = await platform.room.page("general", root, None, 10)
    assert [post.text for post in page] == ["@threadfly hello", "Hello"]


async def test_a_reply_that_a_crash_cut_short_is_found_and_finished_in_place(tmp_path: Path) -> None:
    core = Core(silent)
    async with opened(tmp_path, core) as platform:
        root = (await platform.room.say("joe", "general", None, "@threadfly hello")).position
        turn = replace(turn_of(_said(root)), key=key(root))
        begun = await RoomPosts(platform.room, turn).create(1, "Hel", Showing.GROWING)
    async with opened(tmp_path, Core(silent)) as platform:
        again = replace(turn, parts=(Part(1),), taken_over=True, epoch=2)
        reply = await platform.open_reply(FakeJournal(again))
        parts = await reply.finish(Answer("Hello Joe"))
        page = await platform.room.page("general", root, None, 10)
    assert [part.position for part in parts] == [begun]
    assert [post.text for post in page] == ["@threadfly hello", "Hello Joe"]
    assert page[-1].mark is not None
    assert page[-1].mark.showing == Showing.DONE


async def test_a_long_answer_is_split_over_posts_that_the_room_takes(tmp_path: Path) -> None:
    text = "\n\n".join(f"Paragraph {n}: " + "word " * 100 for n in range(20))
    async with opened(tmp_path, Core(silent)) as platform:
        root = (await platform.room.say("joe", "general", None, "@threadfly hello")).position
        turn = replace(turn_of(_said(root)), key=key(root))
        reply = await platform.open_reply(FakeJournal(turn))
        parts = await reply.finish(Answer(text, Outcome.DONE))
        page = await platform.room.page("general", root, None, 20)
    assert len(parts) == len(page) - 1 > 1
    assert [post.mark.showing for post in page if post.mark][-1] == Showing.DONE


async def test_a_post_that_is_gone_or_a_channel_that_never_was_is_told_in_the_cores_words(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path, Core(silent)) as platform:
        turn = replace(turn_of(_said(1)), key=key(1))
        with pytest.raises(PostGone):
            await RoomPosts(platform.room, turn).change(12345, "text", Showing.GROWING)
        with pytest.raises(PlatformForbidden):
            await platform.history(key(1, "nowhere"), 10, 10)


async def test_a_file_that_is_no_room_stops_the_start_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "playground.db").write_bytes(b"this is no database, " * 100)
    with pytest.raises(PlatformUnavailable, match=r"playground\.db"):
        async with opened(tmp_path, Core(silent)):
            pass


# Who may what.


@pytest.mark.parametrize(
    "path", ["/api/posts/secret-plans", "/api/posts/dm-ann", "/api/memory/secret-plans/1"]
)
async def test_who_is_not_a_member_finds_no_such_channel(tmp_path: Path, path: str) -> None:
    async with client(Core(silent), tmp_path) as (visitor, url):
        async with visitor.get(f"{url}{path}?as=joe") as answer:
            assert answer.status == 404
        async with visitor.get(f"{url}/api/room?as=joe") as answer:
            channels = [channel["id"] for channel in (await answer.json())["channels"]]
    assert channels == ["general", "random", "dm-joe"]


async def test_what_may_be_looked_up_follows_membership(tmp_path: Path) -> None:
    async with opened(tmp_path, Core(silent)) as platform:
        at = key("main", "dm-mei")
        mei = await platform.places(Author("mei", "Mei"), at, Unknown())
        joe = await platform.places(Author("joe", "Joe"), at, Unknown())
        nobody = await platform.places(Author("nobody", "Nobody"), key("main"), Unknown())
    assert [place.channel for place in mei.shared] == ["general", "random"]
    assert list(mei.private.values()) == ["#secret-plans", "direct messages"]
    assert [place.channel for place in joe.private] == ["dm-joe"]
    assert (mei.direct, nobody.direct, nobody.shared, nobody.private) == (True, False, {}, {})


async def test_the_socket_tells_nobody_of_places_that_they_may_not_read(tmp_path: Path) -> None:
    async with (
        served(tmp_path, Core(silent)) as (platform, server),
        aiohttp.ClientSession() as visitor,
        visitor.ws_connect(f"{server.url}/ws?as=joe") as socket,
    ):
        assert await socket.receive_json() == {"caught_up": True}
        await platform.room.say("ann", "secret-plans", None, "psst")
        platform.room.note("ann", "general", None, "for Ann")
        await platform.room.say("ann", "general", None, "hello all")
        frame = await socket.receive_json(timeout=WAIT_S)
    assert [news["post"]["text"] for news in frame["news"]] == ["hello all"]


async def test_a_socket_that_comes_back_is_told_exactly_what_it_missed(tmp_path: Path) -> None:
    async with served(tmp_path, Core(silent)) as (platform, server):
        room = platform.room
        seen = await room.say("ann", "general", None, "seen")
        kept = await room.say("ann", "general", None, "kept")
        since = kept.changed
        await room.say("ann", "general", None, "missed")
        await room.edit("ann", seen.position, "seen, edited")
        await room.say("ann", "secret-plans", None, "psst")
        address = f"{server.url}/ws?as=joe&since={since}"
        async with aiohttp.ClientSession() as visitor, visitor.ws_connect(address) as socket:
            frame = await socket.receive_json(timeout=WAIT_S)
    assert [news["post"]["text"] for news in frame["news"]] == ["missed", "seen, edited"]


@pytest.mark.parametrize("act", ["edit", "delete"])
async def test_only_who_wrote_a_message_changes_it(tmp_path: Path, act: str) -> None:
    async with opened(tmp_path, Core(silent)) as platform:
        post = await platform.room.say("ann", "general", None, "mine")
        with pytest.raises(Refused):
            await (
                platform.room.edit("joe", post.position, "yours")
                if act == "edit"
                else platform.room.delete("joe", post.position)
            )
        kept = await platform.room.get(post.position)
    assert kept == post


async def test_files_come_with_a_message_and_go_to_its_readers_alone(tmp_path: Path) -> None:
    core = Core(silent)
    async with (
        served(tmp_path, core) as (platform, server),
        aiohttp.ClientSession() as visitor,
    ):
        url = server.url
        async with visitor.post(
            f"{url}/api/files?as=ann&name=../../plan.png", data=PNG, headers={"Content-Type": "image/png"}
        ) as answer:
            file = await answer.json()
        async with visitor.post(
            f"{url}/api/posts/secret-plans?as=ann", json={"text": "@threadfly look", "files": [file["id"]]}
        ) as answer:
            assert answer.status == 200
        event = await core.heard(said)
        assert isinstance(event, Said)
        (attachment,) = event.message.attachments
        assert (attachment.name, attachment.type, attachment.size) == ("plan.png", "image/png", len(PNG))
        assert await platform.fetch(attachment, 10_000) == PNG
        assert await platform.fetch(attachment, 10) is None
        assert await platform.fetch(replace(attachment, url="http://169.254.169.254/"), 10_000) is None
        for person, status in (("mei", 200), ("joe", 404)):
            async with visitor.get(f"{url}/files/{file['id']}?as={person}") as answer:
                assert answer.status == status


@pytest.mark.parametrize(
    ("type", "content", "shown"),
    [
        ("image/png", PNG, "inline"),
        ("image/png", b"<script>alert(1)</script>", "attachment"),
        ("image/svg+xml", b"<svg onload='alert(1)'/>", "attachment"),
        ("text/html", b"<script>alert(1)</script>", "attachment"),
    ],
)
async def test_only_true_pictures_are_shown_in_the_browser(
    tmp_path: Path, type: str, content: bytes, shown: str
) -> None:
    async with client(Core(silent), tmp_path) as (visitor, url):
        async with visitor.post(
            f"{url}/api/files?as=ann&name=x", data=content, headers={"Content-Type": type}
        ) as answer:
            file = await answer.json()
        async with visitor.get(f"{url}/files/{file['id']}?as=ann") as answer:
            assert answer.headers["Content-Disposition"].startswith(shown)
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert "sandbox" in answer.headers["Content-Security-Policy"]
            assert answer.content_type == ("image/png" if shown == "inline" else "application/octet-stream")


# What a visitor may send.


@pytest.mark.parametrize(
    ("text", "status", "kept"),
    [
        ("", 422, None),
        (" \n ", 422, None),
        ("x" * 40_000, 200, "x" * 40_000),
        ("x" * 40_001, 422, None),
        ("x" * 200_000, 422, None),
        ("a\x00b", 200, "a\ufffdb"),
        ("a\ud800b", 200, "a\ufffdb"),
        ("مرحبا 你好 👩‍👩‍👧", 200, "مرحبا 你好 👩‍👩‍👧"),
    ],
)
async def test_any_text_is_kept_or_refused_with_a_sentence(
    tmp_path: Path, text: str, status: int, kept: str | None
) -> None:
    async with (
        client(Core(silent), tmp_path) as (visitor, url),
        visitor.post(f"{url}/api/posts/general?as=ann", json={"text": text}) as answer,
    ):
        told = await answer.json()
        assert answer.status == status
    if kept is None:
        assert told["sorry"].endswith(".")
    else:
        assert told["post"]["text"] == kept


@pytest.mark.parametrize("nonce", ["\ud800", "\x00", "a" * 63 + "\ud800", 7, ["a"], {"a": "\ud800"}, None])
@pytest.mark.parametrize("files", [["\ud800"], ["\x00"], [["a"], 7], "none", None])
async def test_whatever_a_page_calls_its_act_and_its_files_the_message_is_kept(
    tmp_path: Path, nonce: object, files: object
) -> None:
    async with client(Core(silent), tmp_path) as (visitor, url):
        for _ in range(2):
            asked = {"text": "hello", "nonce": nonce, "files": files}
            async with visitor.post(f"{url}/api/posts/general?as=ann", json=asked) as answer:
                assert answer.status == 200
                assert (await answer.json())["post"]["files"] == []


@pytest.mark.parametrize(
    "path",
    ["/api/posts/general?root=99999999999999999999", "/api/posts/general?before=x", "/api/memory/general/x?"],
)
async def test_a_place_that_cannot_be_is_not_there(tmp_path: Path, path: str) -> None:
    async with (
        client(Core(silent), tmp_path) as (visitor, url),
        visitor.get(f"{url}{path}&as=ann") as answer,
    ):
        assert answer.status == 404


async def test_a_page_that_comes_before_the_room_is_open_gets_a_sentence(tmp_path: Path) -> None:
    platform = WebPlatform(tmp_path, Marks())
    async with (
        page_server(platform) as server,
        aiohttp.ClientSession() as visitor,
        visitor.get(f"{server.url}/api/room?as=ann") as answer,
    ):
        assert answer.status == 503
        assert (await answer.json())["sorry"] == CLOSED
    await platform.close()


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"nonsense", b'{"text": 7}', b"[" * 100_000, b"{" + b" " * 3_000_000 + b"}"]
)
async def test_what_is_no_message_gets_a_sentence(tmp_path: Path, body: bytes) -> None:
    async with client(Core(silent), tmp_path) as (visitor, url):
        headers = {"Content-Type": "application/json"}
        async with visitor.post(
            f"{url}/api/posts/general?as=ann", data=io.BytesIO(body), headers=headers
        ) as answer:
            assert answer.status == 422
            assert (await answer.json())["sorry"]


async def test_a_file_that_is_too_large_is_refused_with_a_sentence(tmp_path: Path) -> None:
    async with (
        client(Core(silent), tmp_path) as (visitor, url),
        visitor.post(
            f"{url}/api/files?as=ann&name=big", data=io.BytesIO(bytes(MOST_FILE_BYTES + 1))
        ) as answer,
    ):
        assert answer.status == 422
        assert "5 MB" in (await answer.json())["sorry"]


async def test_a_reply_to_what_is_no_thread_is_refused(tmp_path: Path) -> None:
    async with opened(tmp_path, Core(silent)) as platform:
        room = platform.room
        root = await room.say("ann", "general", None, "root")
        reply = await room.say("ann", "general", root.position, "reply")
        for channel, thread in (("random", root.position), ("general", reply.position), ("general", 1)):
            with pytest.raises(NotThere):
                await room.say("ann", channel, thread, "where?")


async def test_a_slash_command_goes_to_the_desk_and_its_answer_to_the_asker_alone(tmp_path: Path) -> None:
    core = Core(silent)
    async with client(core, tmp_path) as (visitor, url):
        root = (await say(visitor, url, "joe", "@threadfly hello"))["position"]
        await say(visitor, url, "joe", "/model large", root)
        async with visitor.get(f"{url}/api/room?as=joe") as answer:
            notes = (await answer.json())["notes"]
        async with visitor.get(f"{url}/api/room?as=ann") as answer:
            assert (await answer.json())["notes"] == []
        posts = await thread(visitor, url, "joe", root)
    assert [(order.key, order.by.id, order.words) for order in core.orders] == [
        (key(root), "joe", "model large")
    ]
    assert [note["text"] for note in notes] == ["You asked for: model large"]
    assert [post["text"] for post in posts] == ["@threadfly hello"]


@pytest.mark.parametrize(
    ("text", "told"), [("/frobnicate", "I don't know /frobnicate"), ("/stop", "open a thread")]
)
async def test_a_command_that_cannot_be_carried_out_gets_a_sentence(
    tmp_path: Path, text: str, told: str
) -> None:
    core = Core(silent)
    async with client(core, tmp_path) as (visitor, url):
        await say(visitor, url, "joe", text)
        async with visitor.get(f"{url}/api/room?as=joe") as answer:
            notes = (await answer.json())["notes"]
    assert told in notes[0]["text"]
    assert core.orders == []


async def test_what_the_bot_tells_one_person_reaches_that_person(tmp_path: Path) -> None:
    async with (
        served(tmp_path, Core(silent)) as (platform, server),
        aiohttp.ClientSession() as visitor,
        visitor.ws_connect(f"{server.url}/ws?as=joe") as socket,
    ):
        await socket.receive_json()
        await platform.tell(key(17), Author("ann", "Ann"), "not for Joe")
        await platform.tell(key(17), Author("joe", "Joe"), "for Joe")
        frame = await socket.receive_json(timeout=WAIT_S)
    note = {"number": 2, "after": 0, "channel": "general", "root": 17, "text": "for Joe"}
    assert frame["news"] == [{"note": note | {"body": [["p", {}, "for Joe"]]}}]


async def test_what_was_told_to_one_person_is_not_told_again_after_a_minute(tmp_path: Path) -> None:
    """It may quote what was deleted or forgotten meanwhile."""
    time = [now()]
    async with (
        served(tmp_path, Core(silent), clock=lambda: time[0]) as (platform, server),
        aiohttp.ClientSession() as visitor,
    ):

        async def kept() -> list[str]:
            async with visitor.get(f"{server.url}/api/room?as=joe") as answer:
                return [note["text"] for note in (await answer.json())["notes"]]

        joe = Author("joe", "Joe")
        await platform.tell(key(17), joe, "one")
        time[0] += timedelta(seconds=59)
        await platform.tell(key(17), joe, "two")
        assert await kept() == ["one", "two"]
        time[0] += timedelta(seconds=2)
        assert await kept() == ["two"]


async def test_a_quiet_platform_keeps_what_is_said_for_the_next_start(tmp_path: Path) -> None:
    core, later = Core(silent), Core(silent)
    async with opened(tmp_path, core) as platform:
        await platform.quiet()
        assert platform.ailing()
        await platform.room.say("joe", "general", None, "@threadfly still there?")
    async with opened(tmp_path, later):
        await later.heard(said)
    assert core.events == []


@pytest.mark.parametrize("button", ["launch", 7, ["good"], None])
async def test_a_button_that_is_not_there_cannot_be_pressed(tmp_path: Path, button: object) -> None:
    async with client(Core(), tmp_path) as (visitor, url):
        posts = await answered(visitor, url, "joe", "@threadfly hello")
        for post in posts:
            address = f"{url}/api/post/{post['position']}/press?as=ann"
            async with visitor.post(address, json={"button": button}) as answer:
                assert answer.status == 422


# Other websites.


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": "127.0.0.1.evil.example:80"}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({}, 200),
    ],
)
async def test_another_website_cannot_drive_the_playground(
    tmp_path: Path, headers: dict[str, str], status: int
) -> None:
    async with (
        client(Core(silent), tmp_path) as (visitor, url),
        visitor.post(f"{url}/api/posts/general?as=ann", json={"text": "hello"}, headers=headers) as answer,
    ):
        assert answer.status == status


async def test_another_website_cannot_open_the_socket(tmp_path: Path) -> None:
    async with client(Core(silent), tmp_path) as (visitor, url):
        for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await visitor.ws_connect(f"{url}/ws?as=ann", headers=headers)
            assert refused.value.status == 403


async def test_with_a_token_nothing_is_served_without_it(tmp_path: Path) -> None:
    async with client(Core(silent), tmp_path, token="s3cret") as (visitor, url):
        for path in (
            "/",
            "/static/app.js",
            "/api/room?as=ann",
            "/?token=wrong",
            "/api/room?as=ann&token=s3cret",
        ):
            async with visitor.get(url + path, headers={"Host": "chat.example"}) as answer:
                assert answer.status == 401
        async with visitor.get(f"{url}/?token=s3cret", allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (303, "/")
            cookie = answer.headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert "s3cret" not in cookie
        async with visitor.get(f"{url}/api/room?as=ann") as answer:
            assert answer.status == 200


async def test_a_pass_that_is_no_text_is_none(tmp_path: Path) -> None:
    async with served(tmp_path, Core(silent), token="s3cret") as (_, server):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nCookie: " + COOKIE.encode() + b"=\xff\r\n\r\n")
        assert b" 401 " in await asyncio.wait_for(reader.readline(), WAIT_S)
        writer.close()
        await writer.wait_closed()


async def test_every_answer_carries_the_strict_policy(tmp_path: Path) -> None:
    async with client(Core(silent), tmp_path) as (visitor, url):
        for path in (
            "/",
            "/static/app.js",
            "/api/room",
            "/api/posts/nowhere?as=ann",
            "/static/..%2Fserver.py",
        ):
            async with visitor.get(url + path) as answer:
                assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
                assert "unsafe" not in answer.headers["Content-Security-Policy"]
                assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_the_rooms_file_is_a_sound_database_afterwards(tmp_path: Path) -> None:
    async with opened(tmp_path, Core(silent)) as platform:
        await asyncio.gather(*(platform.room.say("ann", "general", None, str(n)) for n in range(50)))
    with contextlib.closing(sqlite3.connect(tmp_path / "playground.db")) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert db.execute("SELECT count(*) FROM post").fetchone() == (50,)


def _said(position: int) -> Said:
    message = Message(position, Author("joe", "Joe"), "hello", now())
    return Said(key(position), message, Addressed.MENTION)


def now_stamp() -> int:
    return Room.stamp_of(now())


async def say(
    visitor: aiohttp.ClientSession, url: str, person: str, text: str, root: int | None = None
) -> dict[str, Any]:
    async with visitor.post(
        f"{url}/api/posts/general?as={person}", json={"text": text, "root": root}
    ) as answer:
        told: dict[str, Any] = await answer.json()
        assert answer.status == 200, told
    post: dict[str, Any] = told.get("post", {})
    return post


async def thread(visitor: aiohttp.ClientSession, url: str, person: str, root: int) -> list[dict[str, Any]]:
    async with visitor.get(f"{url}/api/posts/general?as={person}&root={root}") as answer:
        posts: list[dict[str, Any]] = (await answer.json())["posts"]
    return posts


async def answered(visitor: aiohttp.ClientSession, url: str, person: str, text: str) -> list[dict[str, Any]]:
    """Say `text`, and the thread once its answer is whole."""
    async with visitor.ws_connect(f"{url}/ws?as={person}") as socket:
        root = (await say(visitor, url, person, text))["position"]
        async with asyncio.timeout(WAIT_S):
            async for frame in socket:
                news = frame.json().get("news", ())
                if any(one.get("post", {}).get("showing") == "done" for one in news):
                    return await thread(visitor, url, person, root)
    raise AssertionError("the socket closed before the answer came")
