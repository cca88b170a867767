"""What a reply on Discord survives, and the rules of Discord's that it keeps."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest
from aiohttp import web

from adapters.discord import invite, rest
from adapters.discord.doctor import CHANNELS_TOLD, Finding, examine
from adapters.discord.platform import DiscordPlatform
from bot.domain import Answer, Attachment, Said
from bot.errors import PlatformForbidden, PlatformUnavailable
from bot.ports import Journal, Reply
from tests.fakes.discord import FakeDiscord
from tests.fakes.discord_bot import Core, connected, journal_of, turn_of
from tests.fakes.posts import FakeJournal


@pytest.fixture
async def fake() -> AsyncIterator[FakeDiscord]:
    async with FakeDiscord(pace=100.0) as discord:
        yield discord
        assert discord.violations == []


@dataclass
class Asked:
    """A question that was heard."""

    platform: DiscordPlatform
    said: Said
    channel: int
    thread: int
    ann: int


@pytest.fixture
async def asked(fake: FakeDiscord) -> AsyncIterator[Asked]:
    channel, ann = fake.channel(fake.guild(), "general"), fake.person("ann")
    core = Core(script=None)
    async with connected(fake, core) as platform:
        message = fake.say(ann, channel, f"<@{fake.bot.id}> hello")
        await core.heard(1)
        yield Asked(platform, core.said[0], channel, message, ann)


async def reply_to(asked: Asked) -> Reply:
    return await asked.platform.open_reply(journal_of(asked.said))


class Owner:
    """The first post of a fresh reply, as each owner of the turn would make it."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked

    async def create(self, text: str) -> int:
        reply = await reply_to(self._asked)
        (part,) = await reply.finish(Answer(text))
        assert part.position is not None
        return part.position


def second_owner(asked: Asked) -> Journal:
    """The journal of who takes the turn over, and knows of no post."""
    turn = turn_of(asked.said.key, asked.said.message.position, taken_over=True)
    return FakeJournal(replace(turn, epoch=2))


def refuse(fake: FakeDiscord, route: str, status: int, code: int) -> None:
    """Let the next call of that route be refused."""

    async def refusal() -> web.Response:
        return fake.rest.refused(status, code)

    fake.rest.faults.append((route, refusal))


def texts(fake: FakeDiscord, channel: int) -> list[str]:
    return [post["content"] for post in fake.messages(channel, by_bot=True)]


async def test_typing_shows_in_the_thread_while_it_works(fake: FakeDiscord, asked: Asked) -> None:
    reply = await reply_to(asked)
    await fake.wait(lambda: fake.typing)
    await reply.finish(Answer("Hello."))
    assert set(fake.typing) == {asked.thread}


async def test_a_server_error_is_tried_again_and_posts_once(fake: FakeDiscord, asked: Asked) -> None:
    fake.rest.cut_after += ["POST messages", "POST messages", "POST threads"]
    reply = await reply_to(asked)
    await reply.finish(Answer("Hello."))
    assert texts(fake, asked.thread) == ["Hello."]


async def test_a_post_that_the_nonce_brings_back_reads_the_new_text(fake: FakeDiscord, asked: Asked) -> None:
    """The first owner's post, which nobody found: it is changed, not taken for the new one."""
    assert await Owner(asked).create("Half") == await Owner(asked).create("The whole.")
    assert texts(fake, asked.thread) == ["The whole."]


async def test_a_post_that_was_deleted_is_not_brought_back_by_its_nonce(
    fake: FakeDiscord, asked: Asked
) -> None:
    position = await Owner(asked).create("Half")
    fake.delete(asked.thread, position)
    assert await Owner(asked).create("The whole.") != position
    assert texts(fake, asked.thread) == ["The whole."]


async def test_a_deleted_post_that_read_the_same_is_not_brought_back_either(
    fake: FakeDiscord, asked: Asked
) -> None:
    fake.delete(asked.thread, await Owner(asked).create("The whole."))
    reply = await asked.platform.open_reply(second_owner(asked))
    await reply.finish(Answer("The whole."))
    assert texts(fake, asked.thread) == ["The whole."]


async def test_a_taken_over_file_is_posted_anew_and_not_brought_back(fake: FakeDiscord, asked: Asked) -> None:
    """A file can't be changed: the first owner's is removed, whose nonce Discord still knows."""
    text = " ".join(f"word{number}" for number in range(3_000))
    journal = FakeJournal(turn_of(asked.said.key, asked.said.message.position))
    await (await asked.platform.open_reply(journal)).finish(Answer(text))
    other = await asked.platform.open_reply(journal.taken_over())
    parts = await other.finish(Answer(text))
    posts = fake.messages(asked.thread, by_bot=True)
    assert [int(post["id"]) for post in posts] == [part.position for part in parts]
    assert [bool(post["attachments"]) for post in posts] == [False] * 5 + [True]


@pytest.mark.parametrize("code", [50035, 200001])
async def test_a_thread_whose_name_is_refused_gets_another(
    fake: FakeDiscord, asked: Asked, code: int
) -> None:
    refuse(fake, "POST threads", 400, code)
    reply = await reply_to(asked)
    await reply.finish(Answer("Hello."))
    assert fake.channels[asked.thread].name == "Conversation"
    assert texts(fake, asked.thread) == ["Hello."]


async def test_a_token_that_is_revoked_while_it_runs_waits_and_asks_once(
    fake: FakeDiscord, asked: Asked
) -> None:
    fake.rest.token = "another"
    calls = len(fake.rest.calls)
    for _ in range(3):
        with pytest.raises(PlatformUnavailable):
            await asked.platform.history(asked.said.key, asked.thread + 1, 10)
    assert len(fake.rest.calls) == calls + 1


async def test_an_interaction_that_ran_out_closes_nothing(fake: FakeDiscord, asked: Asked) -> None:
    refuse(fake, "POST threads", 401, 50027)
    reply = await reply_to(asked)
    await reply.finish(Answer("Hello."))
    assert texts(fake, asked.channel)[-1] == "Hello."


async def test_so_many_refusals_that_discord_would_ban_us(
    fake: FakeDiscord, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rest, "MOST_REFUSALS", 3)
    fake.deny(asked.channel, ["read_message_history", "view_channel"])
    async with connected(fake, Core(script=None)) as platform:
        calls = fake.rest.calls.count("GET channel")
        for number in range(3):
            with pytest.raises(PlatformForbidden):
                await platform.history(replace(asked.said.key, thread=str(number + 1)), asked.thread, 10)
        with pytest.raises(PlatformUnavailable):
            await platform.history(asked.said.key, asked.thread + 1, 10)
    assert fake.rest.calls.count("GET channel") == calls + 3


async def test_a_thread_that_is_archived_meanwhile_is_woken(fake: FakeDiscord, asked: Asked) -> None:
    reply = await reply_to(asked)
    await reply.show("Hel")
    await fake.wait(lambda: texts(fake, asked.thread))
    fake.archive(asked.thread)
    await reply.finish(Answer("Hello."))
    assert texts(fake, asked.thread) == ["Hello."]


async def test_a_thread_that_is_deleted_meanwhile_ends_the_reply(fake: FakeDiscord, asked: Asked) -> None:
    reply = await reply_to(asked)
    await reply.show("Hel")
    await fake.wait(lambda: texts(fake, asked.thread))
    fake.delete_channel(asked.thread)
    with pytest.raises(PlatformForbidden):
        await reply.finish(Answer("Hello."))


async def test_a_question_that_was_deleted_before_its_thread_was_opened(
    fake: FakeDiscord, asked: Asked
) -> None:
    fake.delete(asked.channel, asked.thread)
    reply = await reply_to(asked)
    await reply.finish(Answer("Hello."))
    assert texts(fake, asked.channel) == ["Hello."]


async def test_a_right_that_is_taken_away_meanwhile(fake: FakeDiscord, asked: Asked) -> None:
    reply = await reply_to(asked)
    fake.deny(asked.channel, ["send_messages_in_threads", "send_messages"])
    with pytest.raises(PlatformForbidden):
        await reply.finish(Answer("Hello."))


@pytest.mark.parametrize(
    ("status", "code"), [(403, 50001), (403, 50013), (403, 160005), (400, 160005), (404, 10003)]
)
@pytest.mark.parametrize("route", ["PATCH message", "POST messages"])
async def test_whatever_words_discord_refuses_the_rest_in(
    fake: FakeDiscord, asked: Asked, route: str, status: int, code: int
) -> None:
    reply = await reply_to(asked)
    await reply.show("Hel")
    await fake.wait(lambda: texts(fake, asked.thread))
    refuse(fake, route, status, code)
    with pytest.raises(PlatformForbidden):
        await reply.finish(Answer("Hello. " * 300))


async def test_a_slow_mode_is_waited_for(
    fake: FakeDiscord, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rest, "SHORT_WAIT_S", 0.05)
    reply = await reply_to(asked)
    refuse(fake, "POST messages", 403, 20016)
    await reply.finish(Answer("Hello."))
    assert texts(fake, asked.thread) == ["Hello."]


async def test_where_files_are_forbidden_everything_is_posted(fake: FakeDiscord, asked: Asked) -> None:
    fake.deny(asked.channel, ["attach_files"])
    reply = await reply_to(asked)
    text = " ".join(f"word{number}" for number in range(2_000))
    parts = await reply.finish(Answer(text))
    assert len(parts) > 5
    assert texts(fake, asked.thread)[-1].endswith("word1999")


@pytest.mark.parametrize("length", [1_999, 2_000, 2_001, 60_000])
async def test_lengths_around_what_discord_takes(fake: FakeDiscord, asked: Asked, length: int) -> None:
    text = ("👩‍👩‍👧 漢字 and words. " * (length // 10))[:length]
    reply = await reply_to(asked)
    await reply.show(text[: length // 2])
    parts = await reply.finish(Answer(text))
    posts = fake.messages(asked.thread, by_bot=True)
    assert len(posts) == len(parts) == {1_999: 1, 2_000: 1, 2_001: 2, 60_000: 6}[length]
    assert [post["content"] for post in posts if len(post["content"]) > 2_000] == []
    if length > 2_001:
        assert posts[-1]["attachments"]


async def test_a_taken_over_reply_by_reply_is_found_among_others(fake: FakeDiscord) -> None:
    channel, ann = fake.channel(fake.guild(), "voice", kind="voice"), fake.person("ann")
    core = Core(script=None)
    async with connected(fake, core) as platform:
        for text in ("one", "two"):
            fake.say(ann, channel, f"<@{fake.bot.id}> {text}")
        await core.heard(2)
        journals = []
        for said in core.said:
            journal = FakeJournal(turn_of(said.key, said.message.position))
            reply = await platform.open_reply(journal)
            await reply.show(f"Half of {said.message.text}")
            await fake.wait(lambda text=said.message.text: f"Half of {text}" in texts(fake, channel))
            await reply.abandon()
            journal.positions.clear()
            journals.append(journal)
        for journal, said in zip(journals, core.said, strict=True):
            other = await platform.open_reply(journal.taken_over())
            await other.finish(Answer(f"The whole of {said.message.text}"))
    assert texts(fake, channel) == ["The whole of one", "The whole of two"]


async def test_a_takeover_finds_the_reply_after_a_restart(fake: FakeDiscord, asked: Asked) -> None:
    journal = FakeJournal(turn_of(asked.said.key, asked.said.message.position))
    reply = await asked.platform.open_reply(journal)
    await reply.show("Half")
    await fake.wait(lambda: texts(fake, asked.thread))
    await reply.abandon()
    journal.positions.clear()
    async with connected(fake, Core(script=None)) as later:
        other = await later.open_reply(journal.taken_over())
        await other.finish(Answer("The whole."))
    assert texts(fake, asked.thread) == ["The whole."]


async def test_no_rate_limit_is_hit_by_a_reply_that_grows(fake: FakeDiscord, asked: Asked) -> None:
    fake.limits.pace = 5.0
    reply = await reply_to(asked)
    for number in range(4):
        await reply.show(" ".join(map(str, range(number + 1))))
        await fake.wait(
            lambda number=number: (
                texts(fake, asked.thread)[-1:] and str(number) in texts(fake, asked.thread)[-1]
            )
        )
    await reply.finish(Answer("Done."))
    assert fake.limits.hits == []


async def test_replies_are_finished_after_the_gateway_was_closed(fake: FakeDiscord, asked: Asked) -> None:
    reply = await reply_to(asked)
    await reply.show("Hel")
    await fake.wait(lambda: texts(fake, asked.thread))
    await asked.platform.quiet()
    await reply.finish(Answer("Hello."))
    assert texts(fake, asked.thread) == ["Hello."]


async def test_after_closing_nothing_is_posted(fake: FakeDiscord, asked: Asked) -> None:
    await asked.platform.quiet()
    await asked.platform.close()
    with pytest.raises(PlatformUnavailable):
        await asked.platform.history(asked.said.key, asked.said.message.position, 10)


async def test_an_expired_link_to_a_file_is_signed_anew(fake: FakeDiscord, asked: Asked) -> None:
    message = fake.say(asked.ann, asked.channel, "file", files=[("a.txt", "text/plain", b"hello")])
    (file,) = fake.channels[asked.channel].messages[message]["attachments"]
    fake.expired.add(file["url"].removeprefix(fake.files_base))
    attachment = Attachment("a.txt", "text/plain", 5, file["url"])
    assert await asked.platform.fetch(attachment, 100) == b"hello"


async def test_the_invitation_asks_for_exactly_what_is_used(fake: FakeDiscord) -> None:
    """A walk through everything that the code does; the fake notes the rights it took."""
    guild = fake.guild(bot_permissions=list(invite.RIGHTS))
    channel, ann = fake.channel(guild, "general"), fake.person("ann")
    closed, ben = fake.channel(guild, "closed"), fake.person("ben")
    threadless = fake.channel(guild, "voice", kind="voice")
    fake.closed_dms.add(ben)

    async def long(_core: Core, reply: Reply, said: Said) -> None:
        await reply.finish(Answer("word " * (4_000 if "long" in said.message.text else 1)))

    core = Core(long)
    async with connected(fake, core) as platform:
        asked = fake.say(ann, channel, f"<@{fake.bot.id}> something long")
        await fake.wait(lambda: [p for p in fake.messages(asked) if p["attachments"]])
        await platform.history(core.said[0].key, fake.channels[asked].last, 10)
        fake.say(ann, threadless, f"<@{fake.bot.id}> short")
        await fake.wait(lambda: texts(fake, threadless))
        fake.deny(closed, ["send_messages", "send_messages_in_threads"])
        refused = fake.say(ben, closed, f"<@{fake.bot.id}> hello")
        await fake.wait(lambda: fake.channels[closed].messages[refused]["reactions"])
    assert core.failures == []
    assert fake.used_permissions == set(invite.RIGHTS)


async def found(fake: FakeDiscord, token: str = "") -> list[Finding]:
    return [finding async for finding in examine(token or fake.token, fake.api_url)]


async def test_the_doctor_finds_all_well(fake: FakeDiscord) -> None:
    fake.guild("Home")
    findings = await found(fake)
    assert len(findings) == 4
    assert all(finding.well for finding in findings)


async def test_the_doctor_names_what_is_missing(fake: FakeDiscord) -> None:
    fake.guild("Home", bot_permissions=["view_channel"])
    fake.gateway.content_intent = False
    wrong = {finding.what: finding for finding in await found(fake) if not finding.well}
    assert set(wrong) == {"Discord: message content intent", "Discord: rights in Home"}
    assert "Attach Files" in wrong["Discord: rights in Home"].found
    assert f"threadfly invite discord {fake.bot.id}" in wrong["Discord: rights in Home"].advice


async def test_the_doctor_names_channels_that_take_rights_away(fake: FakeDiscord) -> None:
    guild = fake.guild("Home")
    fake.channel(guild, "general")
    fake.deny(fake.channel(guild, "quiet"), ["send_messages_in_threads"])
    fake.deny(fake.channel(guild, "staff"), ["view_channel"])
    *_, rights = await found(fake)
    assert rights.well, "it may be on purpose"
    assert rights.found == "all there; #quiet lacks Send Messages In Threads; #staff is hidden from it"
    assert rights.advice


async def test_the_doctor_names_a_few_channels_of_many(fake: FakeDiscord) -> None:
    guild = fake.guild("Home")
    for number in range(CHANNELS_TOLD + 2):
        fake.deny(fake.channel(guild, f"staff{number}"), ["view_channel"])
    *_, rights = await found(fake)
    assert rights.found.count("hidden") == CHANNELS_TOLD
    assert rights.found.endswith("and in 2 more")


async def test_the_doctor_where_nothing_answers() -> None:
    (finding,) = [finding async for finding in examine("token", "http://127.0.0.1:1")]
    assert "discord.api_url" in finding.advice


async def test_the_doctor_on_a_wrong_token(fake: FakeDiscord) -> None:
    (finding,) = await found(fake, "wrong")
    assert not finding.well
    assert "wrong" not in finding.found
