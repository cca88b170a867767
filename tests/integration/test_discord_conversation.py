"""People talk to the bot on Discord: where it answers, and what it makes of what they say."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from adapters.cache import NoCache
from bot.domain import Addressed, Author, Deleted, Edited, Gone, Left, Said, SessionKey
from tests.fakes.discord import FakeDiscord
from tests.fakes.discord_bot import Core, Marks, connected


@pytest.fixture
async def fake() -> AsyncIterator[FakeDiscord]:
    async with FakeDiscord() as discord:
        yield discord
        assert discord.violations == []


@pytest.fixture
def core() -> Core:
    return Core()


def mention(fake: FakeDiscord) -> str:
    return f"<@{fake.bot.id}>"


async def answers(fake: FakeDiscord, channel: int, number: int = 1) -> list[str]:
    """Wait until the bot has said `number` whole things in a channel; their texts."""

    def whole() -> list[str]:
        posts = fake.messages(channel, by_bot=True)
        done = [p["content"] for p in posts if "👍" in str(p["components"])]
        return done if len(done) >= number else []

    return await fake.wait(whole)


async def test_a_mention_opens_a_thread_named_after_the_question(fake: FakeDiscord, core: Core) -> None:
    guild = fake.guild()
    channel = fake.channel(guild, "general")
    ann = fake.person("ann")
    async with connected(fake, core):
        asked = fake.say(ann, channel, f"{mention(fake)} how do **magnets** work?")
        assert await answers(fake, asked) == ["You said: how do **magnets** work?"]
    assert fake.channels[asked].name == "how do **magnets** work?"
    said = core.said[0]
    assert said.key == SessionKey("discord", str(guild), str(channel), str(asked))
    assert said.addressed is Addressed.MENTION
    assert said.opens_thread
    assert said.message.author.name == "Ann"
    assert [m["content"] for m in fake.messages(channel, by_bot=True)] == []


async def test_a_thread_goes_on_without_a_mention(fake: FakeDiscord, core: Core) -> None:
    channel = fake.channel(fake.guild(), "general")
    ann = fake.person("ann")
    async with connected(fake, core):
        asked = fake.say(ann, channel, f"{mention(fake)} one")
        await answers(fake, asked)
        fake.say(ann, asked, "two")
        assert await answers(fake, asked, 2) == ["You said: one", "You said: two"]
    first, second = core.said
    assert first.key == second.key
    assert second.addressed is Addressed.THREAD


async def test_what_is_said_in_a_channel_without_a_mention_is_no_business_of_the_bot(
    fake: FakeDiscord, core: Core
) -> None:
    channel = fake.channel(fake.guild(), "general")
    ann, ben = fake.person("ann"), fake.person("ben")
    async with connected(fake, core):
        fake.say(ann, channel, "hello all")
        fake.say(ann, channel, "@everyone hello")
        fake.say(ann, channel, f"<@{ben}> hello")
        asked = fake.say(ann, channel, f"{mention(fake)} hello")
        await core.heard(1)
    assert [said.message.position for said in core.said] == [asked]


async def test_its_own_role_is_a_mention_and_another_role_is_not(fake: FakeDiscord, core: Core) -> None:
    guild = fake.guild()
    channel = fake.channel(guild, "general")
    ann = fake.person("ann")
    other = fake.role(guild, "helpers", to=[ann])
    async with connected(fake, core):
        fake.say(ann, channel, f"<@&{other}> hello")
        asked = fake.say(ann, channel, f"<@&{fake.own_role(guild)}> hello")
        await core.heard(1)
    assert [said.message.position for said in core.said] == [asked]
    assert core.said[0].message.text == "hello"
    assert str(other) in core.said[0].groups


async def test_people_who_talk_to_each_other_in_a_thread_are_kept_and_not_answered(
    fake: FakeDiscord, core: Core
) -> None:
    channel = fake.channel(fake.guild(), "general")
    ann, ben = fake.person("ann"), fake.person("ben")
    async with connected(fake, core):
        asked = fake.say(ann, channel, f"{mention(fake)} one")
        await answers(fake, asked)
        fake.say(ann, asked, f"<@{ben}> what do you think?")
        await core.heard(2)
    assert core.said[1].addressed is Addressed.ASIDE
    assert core.said[1].message.text == "@Ben what do you think?"


async def test_a_reply_to_the_bot_counts_as_a_mention(fake: FakeDiscord, core: Core) -> None:
    channel = fake.channel(fake.guild(), "general")
    thread = fake.thread(channel, "talk")
    ann = fake.person("ann")
    async with connected(fake, core):
        fake.say(ann, thread, f"{mention(fake)} one")
        await answers(fake, thread)
        post = int(fake.messages(thread, by_bot=True)[0]["id"])
        fake.say(ann, thread, "two", reply_to=post)
        await answers(fake, thread, 2)
    assert core.said[1].addressed is Addressed.MENTION


async def test_direct_messages_need_no_mention(fake: FakeDiscord, core: Core) -> None:
    ann = fake.person("ann")
    dm = fake.dm(ann)
    async with connected(fake, core):
        fake.say(ann, dm, "hello")
        assert await answers(fake, dm) == ["You said: hello"]
    assert core.said[0].key == SessionKey("discord", "dm", str(dm), str(dm))
    assert core.said[0].addressed is Addressed.DIRECT


async def test_a_forum_post_is_a_thread(fake: FakeDiscord, core: Core) -> None:
    guild = fake.guild()
    forum = fake.channel(guild, "questions", kind="forum")
    ann = fake.person("ann")
    async with connected(fake, core):
        post = fake.thread(forum, "A question", by=ann)
        fake.say(ann, post, f"{mention(fake)} hello")
        assert await answers(fake, post) == ["You said: hello"]
    assert core.said[0].key == SessionKey("discord", str(guild), str(forum), str(post))
    assert not core.said[0].opens_thread


async def test_a_private_thread_it_was_added_to(fake: FakeDiscord, core: Core) -> None:
    channel = fake.channel(fake.guild(), "general")
    ann = fake.person("ann")
    async with connected(fake, core):
        thread = fake.thread(channel, "secret", by=ann, private=True, members=[fake.bot.id])
        fake.say(ann, thread, f"{mention(fake)} hello")
        assert await answers(fake, thread) == ["You said: hello"]


async def test_an_archived_thread_wakes_by_what_is_said_in_it(fake: FakeDiscord, core: Core) -> None:
    guild = fake.guild()
    channel = fake.channel(guild, "general")
    thread = fake.thread(channel, "old")
    ann = fake.person("ann")
    fake.archive(thread)
    async with connected(fake, core):
        fake.say(ann, thread, f"{mention(fake)} hello")
        assert await answers(fake, thread) == ["You said: hello"]
    assert core.said[0].key == SessionKey("discord", str(guild), str(channel), str(thread))


async def test_the_thread_that_is_there_already_is_used(fake: FakeDiscord, core: Core) -> None:
    channel = fake.channel(fake.guild(), "general")
    ann = fake.person("ann")
    async with connected(fake, core):
        fake.rest.faults.append(("POST threads", lambda: _open_first(fake, channel)))
        asked = fake.say(ann, channel, f"{mention(fake)} hello")
        assert await answers(fake, asked) == ["You said: hello"]


async def _open_first(fake: FakeDiscord, channel: int) -> None:
    fake.thread(channel, "mine", message=fake.channels[channel].last)


async def test_without_the_right_to_open_threads_it_answers_by_reply_and_says_so_once(
    fake: FakeDiscord, core: Core
) -> None:
    channel = fake.channel(fake.guild(), "general")
    fake.deny(channel, ["create_public_threads"])
    ann = fake.person("ann")
    async with connected(fake, core):
        first = fake.say(ann, channel, f"{mention(fake)} one")
        await answers(fake, channel)
        second = fake.say(ann, channel, f"{mention(fake)} two")
        await answers(fake, channel, 2)
        post = next(m for m in fake.messages(channel, by_bot=True) if "one" in m["content"])
        third = fake.say(ann, channel, "three", reply_to=int(post["id"]))
        await answers(fake, channel, 3)
    posts = fake.messages(channel, by_bot=True)
    replies = {p["content"]: p["message_reference"]["message_id"] for p in posts if "said" in p["content"]}
    assert replies == {
        "You said: one": str(first),
        "You said: two": str(second),
        "You said: three": str(third),
    }
    assert len([p for p in posts if "may not open threads" in p["content"]]) == 1
    assert core.said[2].key == core.said[0].key != core.said[1].key
    assert not core.said[2].opens_thread


async def test_that_it_opens_no_threads_is_said_once_whoever_says_it(fake: FakeDiscord, core: Core) -> None:
    """By two processes at once, and by a third one, long after."""
    channel = fake.channel(fake.guild(), "general")
    fake.deny(channel, ["create_public_threads"])
    ann, marks, other = fake.person("ann"), Marks(), Core()
    async with connected(fake, core, marks), connected(fake, other, marks):
        fake.say(ann, channel, f"{mention(fake)} one")
        await core.heard(1)
        await other.heard(1)
        await asyncio.gather(core.answered(), other.answered())
    fake.nonces.clear()
    later = Core()
    async with connected(fake, later, marks):
        fake.say(ann, channel, f"{mention(fake)} two")
        await later.heard(1)
        await later.answered()
    posts = [p["content"] for p in fake.messages(channel, by_bot=True)]
    assert len([post for post in posts if "may not open threads" in post]) == 1


async def test_one_person_is_told_once_by_all_processes(fake: FakeDiscord) -> None:
    """Who tells it at the same moment does so under one nonce; who tells it later knows."""
    fake.guild()
    ann, cache = fake.person("ann"), Remembered()
    key, author = SessionKey("discord", "1", "2", "3"), Author(str(ann), "Ann")
    async with connected(fake, Core()) as one, connected(fake, Core()) as other:
        await asyncio.gather(*(each.tell(key, author, "Not here.") for each in (one, other)))
    fake.nonces.clear()
    for _ in range(2):
        async with connected(fake, Core(), cache=cache) as later:
            await later.tell(key, author, "Nor there.")
    told = [post["content"] for post in fake.messages(fake.dm(ann), by_bot=True)]
    assert told == ["Not here.", "Nor there."]


class Remembered(NoCache):
    """A cache that all processes share."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}

    async def get(self, name: str) -> str | None:
        return self.kept.get(name)

    async def put(self, name: str, value: str, ttl_s: float) -> None:
        self.kept[name] = value


async def test_a_long_conversation_by_reply_keeps_its_session_without_its_buttons(
    fake: FakeDiscord, core: Core
) -> None:
    channel = fake.channel(fake.guild(), "voice", kind="voice")
    ann = fake.person("ann")
    async with connected(fake, core):
        fake.say(ann, channel, f"{mention(fake)} 0")
        for number in range(1, 4):
            await answers(fake, channel, number)
            post = next(
                p for p in fake.messages(channel, by_bot=True) if p["content"].endswith(str(number - 1))
            )
            fake.say(ann, channel, str(number), reply_to=int(post["id"]))
        await answers(fake, channel, 4)
    for message in fake.messages(channel):
        message["components"] = []
    later = Core()
    async with connected(fake, later):
        post = fake.messages(channel, by_bot=True)[-1]
        fake.say(ann, channel, "again", reply_to=int(post["id"]))
        await later.heard(1)
    assert len({said.key for said in [*core.said, *later.said]}) == 1


async def test_in_a_guild_where_it_may_only_read_the_asker_is_told_once(
    fake: FakeDiscord, core: Core
) -> None:
    guild = fake.guild(bot_permissions=["view_channel", "read_message_history", "add_reactions"])
    channel = fake.channel(guild, "general")
    ann, ben = fake.person("ann"), fake.person("ben")
    fake.closed_dms.add(ben)
    async with connected(fake, core):
        fake.say(ann, channel, f"{mention(fake)} one")
        await fake.wait(lambda: fake.messages(fake.dm(ann), by_bot=True))
        asked = fake.say(ben, channel, f"{mention(fake)} two")
        await fake.wait(lambda: fake.channels[channel].messages[asked]["reactions"])
        await core.heard(2)
    assert "#general" in fake.messages(fake.dm(ann), by_bot=True)[0]["content"]
    assert len(fake.messages(fake.dm(ann), by_bot=True)) == 1


async def test_a_locked_thread_is_not_answered(fake: FakeDiscord, core: Core) -> None:
    channel = fake.channel(fake.guild(), "general")
    thread = fake.thread(channel, "closed")
    ann = fake.person("ann")
    fake.channels[thread].locked = True
    async with connected(fake, core):
        fake.say(ann, thread, f"{mention(fake)} hello")
        await fake.wait(lambda: fake.messages(fake.dm(ann), by_bot=True))
        await core.heard(1)
    assert fake.messages(thread, by_bot=True) == []


async def test_edits_and_deletions_arrive_and_unfurled_links_do_not(fake: FakeDiscord, core: Core) -> None:
    guild = fake.guild()
    channel = fake.channel(guild, "general")
    ann = fake.person("ann")
    async with connected(fake, core):
        asked = fake.say(ann, channel, f"{mention(fake)} see https://example.org")
        await answers(fake, asked)
        more = [fake.say(ann, asked, text) for text in ("a", "b", "c")]
        await answers(fake, asked, 4)
        fake.unfurl(channel, asked)
        fake.edit(channel, asked, "see nothing")
        fake.delete(asked, more[0])
        fake.delete_many(asked, more[1:])
        await core.heard(8)
    edits = [event for event in core.events if isinstance(event, Edited)]
    assert [(e.message.position, e.message.text, e.addressed) for e in edits] == [
        (asked, "see nothing", Addressed.MENTION)
    ]
    assert edits[0].message.edited_at is not None
    assert edits[0].key == core.said[0].key
    deleted = [event for event in core.events if isinstance(event, Deleted)]
    assert [d.position for d in deleted] == more
    assert {d.key for d in deleted} == {core.said[0].key}


async def test_an_edit_of_what_was_no_business_of_the_bot_calls_it_nowhere(
    fake: FakeDiscord, core: Core
) -> None:
    """With `MENTION`, the archive would make a session of it."""
    channel, ann = fake.channel(fake.guild(), "general"), fake.person("ann")
    async with connected(fake, core):
        private = fake.say(ann, channel, "between you and me")
        fake.edit(channel, private, "between you and me, really")
        (edited,) = await core.heard(1)
    assert isinstance(edited, Edited)
    assert edited.addressed is Addressed.ASIDE


async def test_threads_and_channels_that_are_deleted_are_gone_and_hidden_ones_are_not(
    fake: FakeDiscord, core: Core
) -> None:
    guild, ann = fake.guild(), fake.person("ann")
    channel, hidden = fake.channel(guild, "general"), fake.channel(guild, "hidden")
    first, second = fake.thread(channel, "first", by=ann), fake.thread(channel, "second", by=ann)
    async with connected(fake, core):
        fake.delete_channel(first)
        await core.heard(1)
        fake.deny(hidden, ["view_channel"])
        fake.gateway.raw("CHANNEL_DELETE", fake.channel_payload(hidden))
        fake.gateway.raw("THREAD_DELETE", fake.channel_payload(second))
        await fake.wait(lambda: fake.rest.calls.count("GET channel") == 3)
        fake.delete_channel(channel)
        await core.heard(2)
    where = ("discord", str(guild), str(channel))
    assert core.events == [Gone(*where, str(first)), Gone(*where, None)]


async def test_a_server_that_throws_the_bot_out_is_left_and_one_that_is_away_is_not(
    fake: FakeDiscord, core: Core, caplog: pytest.LogCaptureFixture
) -> None:
    guild, ann = fake.guild(), fake.person("ann")
    channel, other = fake.channel(guild, "general"), fake.guild("other")
    async with connected(fake, core):
        fake.gateway.raw("GUILD_DELETE", {"id": str(guild), "unavailable": True})
        fake.gateway.raw("GUILD_CREATE", fake.guild_payload(guild))
        asked = fake.say(ann, channel, f"{mention(fake)} back again?")
        assert await answers(fake, asked) == ["You said: back again?"]
        fake.remove_guild(other)
        await core.heard(2)
    assert [event for event in core.events if not isinstance(event, Said)] == [Left("discord", str(other))]
    (told,) = [record for record in caplog.records if getattr(record, "event", "") == "guild_left"]
    assert f"--workspace discord:{other}" in told.getMessage()


async def test_a_private_thread_is_closed(fake: FakeDiscord, core: Core) -> None:
    channel, ann = fake.channel(fake.guild(), "general"), fake.person("ann")
    private = fake.thread(channel, "secret", by=ann, private=True, members=[fake.bot.id])
    public = fake.thread(channel, "open", by=ann)
    async with connected(fake, core):
        said = fake.say(ann, private, f"{mention(fake)} one")
        fake.edit(private, said, f"{mention(fake)} two")
        await core.heard(2)
        fake.say(ann, public, f"{mention(fake)} three")
        await core.heard(3)
    closed = [event.closed for event in core.events if isinstance(event, Said | Edited)]
    assert closed == [True, True, False]


async def test_other_bots_are_heard_only_if_allowed(fake: FakeDiscord, core: Core) -> None:
    channel = fake.channel(fake.guild(), "general")
    good, bad = fake.person("good", bot=True), fake.person("bad", bot=True)
    async with connected(fake, core, allowed_bots=[str(good)]):
        fake.say(bad, channel, f"{mention(fake)} one")
        fake.say(good, channel, f"{mention(fake)} two")
        await core.heard(1)
    assert [said.message.text for said in core.said] == ["two"]


@pytest.mark.parametrize("page", [100, 40], ids=["full pages", "pages shorter than asked for"])
async def test_history_before_a_mention_in_the_middle_of_a_thread(
    fake: FakeDiscord, core: Core, page: int
) -> None:
    fake.rest.message_page = page
    channel = fake.channel(fake.guild(), "general")
    ann = fake.person("ann")
    starter = fake.say(ann, channel, "the beginning")
    thread = fake.thread(channel, "talk", by=ann, message=starter)
    for number in range(150):
        fake.say(ann, thread, str(number))
    async with connected(fake, core) as platform:
        asked = fake.say(ann, thread, f"{mention(fake)} hello")
        await core.heard(1)
        key = core.said[0].key
        everything = await platform.history(key, asked, 1000)
        some = await platform.history(key, asked, 20)
    assert [m.text for m in everything.messages] == ["the beginning", *map(str, range(150))]
    assert everything.whole
    assert everything.messages[0].position == starter == thread
    assert [m.text for m in some.messages] == [str(number) for number in range(130, 150)]
    assert not some.whole


async def test_a_linked_channel_is_named_where_everybody_sees_it_and_nowhere_else(
    fake: FakeDiscord, core: Core
) -> None:
    guild, ann = fake.guild(), fake.person("ann")
    general, ops, secret = (fake.channel(guild, name) for name in ("general", "ops", "layoffs"))
    fake.deny(secret, ["view_channel"], role=guild)
    for person in (ann, fake.bot.id):
        fake.allow(secret, ["view_channel"], user=person)
    talk = fake.thread(ops, "talk", by=ann)
    closed = fake.thread(ops, "gifts", by=ann, private=True, members=[fake.bot.id])
    links = f"<#{ops}> <#{secret}> <#{talk}> <#{closed}>"
    room, hidden = fake.thread(general, "room", by=ann), fake.thread(secret, "room", by=ann)
    earlier = fake.say(ann, room, f"earlier {links}")
    async with connected(fake, core) as platform:
        said = fake.say(ann, room, f"{mention(fake)} {links}")
        await core.heard(1)
        fake.edit(room, said, f"{mention(fake)} now {links}")
        await core.heard(2)
        fake.say(ann, hidden, f"{mention(fake)} {links}")
        await core.heard(3)
        history = await platform.history(core.said[0].key, said, 10)
    named = "#ops #channel #talk #channel"
    texts = [event.message.text for event in core.events if isinstance(event, Said | Edited)]
    assert texts == [named, f"now {named}", "#ops #layoffs #talk #channel"]
    assert {m.position: m.text for m in history.messages}[earlier] == f"earlier {named}"


async def test_what_was_said_after_a_late_mention_is_read_to_its_end(fake: FakeDiscord, core: Core) -> None:
    fake.rest.message_page = 40
    channel, ann = fake.channel(fake.guild(), "general"), fake.person("ann")
    thread = fake.thread(channel, "talk", by=ann)
    async with connected(fake, core) as platform:
        asked = fake.say(ann, thread, f"{mention(fake)} hello")
        await core.heard(1)
        for number in range(100):
            fake.say(ann, thread, str(number), live=False)
        history = await platform.history(core.said[0].key, asked, 200)
    assert [said.message.text for said in history.later] == list(map(str, range(100)))


async def test_files_come_from_discord_alone(fake: FakeDiscord, core: Core) -> None:
    channel = fake.channel(fake.guild(), "general")
    ann = fake.person("ann")
    async with connected(fake, core) as platform:
        content = b"hello, file"
        fake.say(ann, channel, f"{mention(fake)} read", files=[("a.txt", "text/plain", content)])
        await core.heard(1)
        (attachment,) = core.said[0].message.attachments
        assert (attachment.name, attachment.type, attachment.size) == ("a.txt", "text/plain", len(content))
        assert await platform.fetch(attachment, 1000) == content
        assert await platform.fetch(attachment, 5) is None
        elsewhere = type(attachment)("a.txt", "text/plain", 1, "http://127.0.0.1:9/attachments/1/2/a.txt")
        assert await platform.fetch(elsewhere, 1000) is None
