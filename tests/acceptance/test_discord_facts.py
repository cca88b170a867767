"""What Discord does, row by row, and what a whole bot makes of it: one process, a fake Discord, a fake model.

What Discord does, and where it is held, here and elsewhere:

- takes 2,000 characters: `test_discord_bot`, `..._answers_of_every_length_...`; embeds, windows, nonces,
  names of threads: the fake, whose violations end every test
- pings whom a text names unless told not to: `test_discord_bot`, `..._nobody_is_pinged_...`; the fake counts
- takes a nonce once: `test_discord_crashes`, `test_discord_posts`
- wants interactions answered within 3 s: `..._an_old_button_...`; the fake refuses what comes later
- limits each route, tells so in headers, and all together: `..._429_...`; `test_discord_posts`
- shows typing for ten seconds: `..._typing_...`
- has a thread for each message, may have it already, archives and locks: `..._two_at_once_...`,
  `test_discord_bot`; every type of channel: `test_discord_channels`
- hides contents without an intent: `..._without_the_intent_...`, `test_discord_gateway`
- forgets sessions, and allows 1,000 a day: `..._a_session_is_resumed_...`, `test_discord_gateway`
- returns 100 messages a call: `..._more_than_a_page_...`
- tells nothing of members without an intent: the fake refuses it; who may read is `test_discord_shelf`
- is not the only server of its API: `test_discord_elsewhere`, `test_discord_odd_payloads`
- takes bots out of servers, and rights from them: `..._a_server_that_is_left_...`, `test_discord_bot`
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from adapters.discord.notices import UNREAD
from tests.acceptance.discord_process import WAIT_S, World, world
from tests.fakes.openai import Script

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def made(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("bot")) as made:
        await made.start(THREADFLY__LOGS__LEVEL="debug")
        yield made


async def again(made: World) -> None:
    """The bot is stopped and started."""
    assert await made.stop(made.running[0]) == 0
    await made.start(THREADFLY__LOGS__LEVEL="debug")


async def shown(made: World, token: str) -> str:
    """What a person is shown for a press."""
    return await made.discord.wait(lambda: made.discord.answer(token), WAIT_S)


def state(made: World, thread: int) -> list[str]:
    """The states of a thread's turns in the archive."""
    query = "select state from turns t join sessions s on s.id = t.session_id where s.thread = ?"
    with sqlite3.connect(made.folder / "threadfly.db") as archive:
        return [state for (state,) in archive.execute(query, [str(thread)])]


async def in_the_archive(made: World, thread: int, states: list[str]) -> None:
    async with asyncio.timeout(WAIT_S):
        while state(made, thread) != states:  # noqa: ASYNC110 - in another process
            await asyncio.sleep(0.05)


async def test_old_buttons_work_after_a_restart(made: World) -> None:
    good = made.ask("are you there?")
    await made.answered(good)
    made.openai.answers.append(Script(text="word " * 200, hold_after=100))
    stopped = made.ask("a long story, please")
    (growing,) = await made.discord.wait(lambda: made.posts(stopped), WAIT_S)
    before: dict[str, Any] = {**growing}
    made.openai.release()
    await made.answered(stopped)
    made.openai.answers.append(Script(status=400))
    failed = made.ask("will you fail?")
    await made.discord.wait(lambda: "Try again" in str(made.posts(failed)), WAIT_S)
    await in_the_archive(made, failed, ["failed"])
    await again(made)

    (post,) = made.posts(good)
    token = made.discord.press(made.ann, good, int(post["id"]), "👎")
    assert await shown(made, token) == "Thank you, noted."
    (post,) = made.posts(stopped)
    post["components"] = before["components"]  # as somebody sees it whose app did not hear of the end
    token = made.discord.press(made.ann, stopped, int(post["id"]), "Stop")
    assert "nothing left to do" in await shown(made, token)
    (post,) = made.posts(failed)
    made.discord.press(made.ann, failed, int(post["id"]), "Try again")
    (answer,) = await made.answered(failed)
    assert "will you fail?" in answer


async def test_a_429_is_waited_for_and_the_answer_is_whole(made: World) -> None:
    async def limited() -> Any:
        return made.discord.rest.limited(0.2)

    made.openai.answers.append(Script(text="word " * 80, delay_s=0.01))
    made.discord.rest.faults += [("POST threads", limited), ("PATCH message", limited)]
    (answer,) = await made.answered(made.ask("a story, please"))
    assert answer.count("word") == 80


async def test_typing_is_shown_until_the_first_words(made: World) -> None:
    made.openai.answers.append(Script(text="at last", hold_before=True))
    asked = made.ask("think hard")
    await made.discord.wait(lambda: asked in made.discord.typing, WAIT_S)
    assert made.posts(asked) == []
    made.openai.release()
    assert await made.answered(asked) == ["at last"]


async def test_a_thread_that_somebody_opens_at_the_same_moment_is_used(made: World) -> None:
    hold = made.discord.rest.hold("POST threads", carried_out=False)
    asked = made.ask("who is first?")
    await made.discord.wait(lambda: hold.reached, WAIT_S)
    made.discord.thread(made.channel, "me", by=made.ann, message=asked)
    made.discord.rest.release()
    assert len(await made.answered(asked)) == 1
    assert made.discord.channels[asked].name == "me"


async def test_a_session_is_resumed_and_what_was_said_meanwhile_is_answered_once(made: World) -> None:
    identifies, resumes = len(made.discord.gateway.identifies), made.discord.gateway.resumes
    await made.discord.gateway.drop()
    asked = made.ask("into the void")
    assert len(await made.answered(asked)) == 1
    assert len(made.discord.gateway.identifies) == identifies
    assert made.discord.gateway.resumes > resumes


async def test_more_than_a_page_was_said_while_it_was_off(made: World) -> None:
    asked = made.ask("hello")
    await made.answered(asked)
    ben = made.discord.person("ben", "Ben")
    assert await made.stop(made.running[0]) == 0
    for number in range(150):
        made.discord.say(made.ann, asked, f"<@{ben}> line {number}")
    made.ask("and now?", asked)
    await made.start(THREADFLY__LOGS__LEVEL="debug")
    await made.answered(asked, 2)
    sent = "\n".join(str(message["content"]) for message in made.openai.requests[-1].messages)
    assert "line 149" in sent
    with sqlite3.connect(made.folder / "threadfly.db") as archive:
        ((kept,),) = archive.execute("select count(*) from messages where text like '%line %'").fetchall()
    assert kept == 150


async def test_a_server_that_is_left_while_it_is_off_is_told_of_once(made: World) -> None:
    other = made.discord.guild("other")
    asked = made.ask("hello", made.discord.channel(other, "general"))
    await made.answered(asked)
    assert await made.stop(made.running[0]) == 0
    made.discord.remove_guild(other)
    for _ in range(2):
        looked = made.discord.rest.calls.count("GET archived")
        await made.start(THREADFLY__LOGS__LEVEL="debug")
        # What was archived meanwhile is looked through after the servers are counted.
        await made.discord.wait(lambda n=looked: made.discord.rest.calls.count("GET archived") > n, WAIT_S)
        assert made.logged().count("event=guild_left") == 1
        assert await made.stop(made.running[0]) == 0
    await made.start(THREADFLY__LOGS__LEVEL="debug")


async def test_no_log_holds_a_word_or_the_token(made: World) -> None:
    direct = made.discord.dm(made.ann)
    made.discord.say(made.ann, direct, "the treasure is sesame")
    await made.discord.wait(lambda: made.posts(direct), WAIT_S)
    made.discord.gateway.raw("MESSAGE_CREATE", {"id": "1", "channel_id": "2", "content": "sesame"})
    await made.answered(made.ask("what is sesame?"))
    await again(made)
    told = made.logged()
    assert "commands" in told
    for secret in ("sesame", made.discord.token, "Traceback"):
        assert secret not in told


async def test_without_the_intent_it_answers_mentions_and_asks_for_more(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    async with world(tmp_path_factory.mktemp("bot")) as made:
        made.discord.gateway.content_intent = False
        await made.start(THREADFLY__DISCORD__SHARD_COUNT="1")
        await made.discord.wait(lambda: made.discord.gateway.sessions, WAIT_S)
        asked = made.ask("hello")
        await made.answered(asked)
        made.discord.say(made.ann, asked, "and then?")
        await made.discord.wait(lambda: UNREAD.text in made.texts(asked), WAIT_S)
        made.ask("and now?", asked)
        await made.answered(asked, 2)
        assert "Switch it on" in made.logged()
