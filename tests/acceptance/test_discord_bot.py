"""A whole bot on Discord, from the first mention to a thread that it remembers after a restart."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.acceptance.discord_process import WAIT_S, World, world
from tests.fakes.openai import Script

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def made(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("bot")) as made:
        await made.start()
        yield made


def prompts(made: World) -> list[str]:
    """Everything that the model was sent last."""
    return [str(message["content"]) for message in made.openai.requests[-1].messages]


async def test_a_conversation(made: World) -> None:
    asked = made.ask("my name is Joe")
    await made.answered(asked)
    made.discord.say(made.ann, asked, "what is my name?")
    await made.answered(asked, 2)
    assert made.discord.channels[asked].name == "my name is Joe"
    assert any("my name is Joe" in prompt for prompt in prompts(made))
    assert any("what is my name?" in prompt for prompt in prompts(made))


async def test_it_remembers_after_a_restart_what_stands_there_then(made: World) -> None:
    ben = made.discord.person("ben", "Ben")
    asked = made.ask("my name is Joe")
    await made.answered(asked)
    plum = made.discord.say(made.ann, asked, f"<@{ben}> the code word is plum")
    pear = made.discord.say(made.ann, asked, f"<@{ben}> or is it pear?")
    gone = made.ask("the treasure is buried here")
    await made.answered(gone)
    assert await made.stop(made.running[0]) == 0
    made.discord.delete(asked, plum)
    made.discord.edit(asked, pear, f"<@{ben}> it is apple")
    made.discord.delete_channel(gone)
    said = made.discord.say(made.ann, asked, "what is my name?")
    await made.start()
    await made.answered(asked, 2)
    assert any("my name is Joe" in prompt for prompt in prompts(made))
    assert made.posts(asked)[-1]["id"] > str(said)
    await made.discord.wait(lambda: texts_like(made, "%treasure%") == [], WAIT_S)
    made.discord.say(made.ann, asked, "what is the code word?")
    await made.answered(asked, 3)
    sent = "\n".join(prompts(made))
    assert "apple" in sent
    assert "plum" not in sent
    assert "pear" not in sent


def turns_of(made: World, thread: int) -> list[str]:
    """The states of a thread's turns in the archive."""
    query = (
        "select state from turns t join sessions s on s.id = t.session_id where s.thread = ? order by t.id"
    )
    with sqlite3.connect(made.folder / "threadfly.db") as archive:
        return [state for (state,) in archive.execute(query, [str(thread)])]


def texts_like(made: World, pattern: str) -> list[str]:
    """Messages in the archive that read so."""
    with sqlite3.connect(made.folder / "threadfly.db") as archive:
        rows = archive.execute("select text from messages where text like ?", [pattern]).fetchall()
    return [text for (text,) in rows]


async def test_called_in_the_middle_of_a_thread_it_knows_what_was_said_before(made: World) -> None:
    ben = made.discord.person("ben", "Ben")
    start = made.discord.say(made.ann, made.channel, "let us plan the trip")
    thread = made.discord.thread(made.channel, "trip", by=made.ann, message=start)
    made.discord.say(ben, thread, "I would go to Norway")
    made.ask("what did we say?", thread)
    await made.answered(thread)
    assert any("let us plan the trip" in prompt for prompt in prompts(made))
    assert any("Norway" in prompt for prompt in prompts(made))


async def test_people_talking_to_each_other_are_heard_and_left_alone(made: World) -> None:
    ben = made.discord.person("ben", "Ben")
    asked = made.ask("hello")
    await made.answered(asked)
    made.discord.say(made.ann, asked, f"<@{ben}> the code word is plum")
    made.discord.say(made.ann, asked, "what is the code word?")
    await made.answered(asked, 2)
    assert any("plum" in prompt for prompt in prompts(made))
    assert len(made.texts(asked)) == 2


async def test_an_edit_before_the_next_turn_is_what_the_model_reads(made: World) -> None:
    made.openai.answers += [Script(text="Fine."), Script(text="Fine.")]
    asked = made.ask("the code word is plum")
    await made.answered(asked)
    made.discord.edit(made.channel, asked, f"<@{made.discord.bot.id}> the code word is pear")
    gone = made.discord.say(made.ann, asked, "forget me")
    await made.answered(asked, 2)
    made.discord.delete(asked, gone)
    made.discord.say(made.ann, asked, "what is the code word?")
    await made.answered(asked, 3)
    sent = "\n".join(prompts(made))
    assert "pear" in sent
    assert "plum" not in sent
    assert "forget me" not in sent


async def test_the_stop_button_ends_an_answer(made: World) -> None:
    made.openai.answers.append(Script(text="word " * 200, hold_after=100))
    asked = made.ask("tell me a long story")
    posts = await made.discord.wait(lambda: made.posts(asked), WAIT_S)
    made.discord.press(made.ann, asked, int(posts[0]["id"]), "Stop")
    await made.discord.wait(lambda: "Stopped" in made.texts(asked)[0], WAIT_S)
    made.openai.release()
    made.discord.say(made.ann, asked, "go on")
    assert len(await made.answered(asked)) == 2


async def test_an_answer_that_failed_is_tried_again_in_place(made: World) -> None:
    made.openai.answers.append(Script(status=400))
    asked = made.ask("will you fail?")
    await made.discord.wait(lambda: "Try again" in str(made.posts(asked)), WAIT_S)
    (post,) = made.posts(asked)

    async with asyncio.timeout(WAIT_S):
        # The button stands there a moment before the turn is closed, in another process.
        while turns_of(made, asked) != ["failed"]:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    made.discord.press(made.ann, asked, int(post["id"]), "Try again")
    assert len(await made.answered(asked)) == 1
    assert "will you fail?" in made.texts(asked)[0]


async def test_pause_and_resume(made: World) -> None:
    asked = made.ask("hello")
    await made.answered(asked)
    made.ask("pause", asked)
    await made.discord.wait(lambda: len(made.posts(asked)) == 2, WAIT_S)
    made.discord.say(made.ann, asked, "are you there?")
    token = made.discord.slash(made.ann, asked, "resume")
    await made.discord.wait(lambda: made.discord.answer(token), WAIT_S)
    made.discord.say(made.ann, asked, "and now?")
    await made.discord.wait(lambda: any("and now?" in text for text in made.texts(asked)), WAIT_S)
    assert not any("are you there?" in text for text in made.texts(asked))


async def test_nobody_is_pinged_by_the_model(made: World) -> None:
    made.openai.answers.append(Script(text=f"@everyone @here <@{made.ann}> <@&{made.guild}>"))
    asked = made.ask("who is there?")
    await made.answered(asked)
    assert made.discord.pings == []


async def test_a_guild_where_it_may_read_and_not_write(made: World) -> None:
    closed = made.discord.guild("closed", bot_permissions=["view_channel", "read_message_history"])
    channel = made.discord.channel(closed, "lobby")
    carl = made.discord.person("carl")
    made.discord.say(carl, channel, f"<@{made.discord.bot.id}> hello")
    await made.discord.wait(lambda: made.posts(made.discord.dm(carl)), WAIT_S)
    assert "#lobby" in made.texts(made.discord.dm(carl))[0]


async def test_who_goes_on_in_a_thread_where_it_may_no_longer_write_is_told(made: World) -> None:
    channel = made.discord.channel(made.guild, "short-lived")
    asked = made.ask("hello", channel)
    await made.answered(asked)
    made.discord.deny(channel, ["send_messages_in_threads"])
    before = len(made.texts(made.discord.dm(made.ann)))
    made.discord.say(made.ann, asked, "and now?")
    await made.discord.wait(lambda: len(made.texts(made.discord.dm(made.ann))) > before, WAIT_S)
    assert "lack the right to write" in made.texts(made.discord.dm(made.ann))[-1]


async def test_who_asked_is_told_when_the_right_is_taken_away_in_the_middle(made: World) -> None:
    channel = made.discord.channel(made.guild, "soon-hidden")
    made.openai.answers.append(Script(text="one two three four five", hold_after=3))
    asked = made.ask("count", channel)
    await made.discord.wait(lambda: made.posts(asked), WAIT_S)
    before = len(made.texts(made.discord.dm(made.ann)))
    made.discord.deny(channel, ["view_channel"])
    made.openai.release()
    await made.discord.wait(lambda: len(made.texts(made.discord.dm(made.ann))) > before, WAIT_S)
    assert "no right to post" in made.texts(made.discord.dm(made.ann))[-1]
    made.discord.allow(channel, ["view_channel"])
    made.discord.say(made.ann, asked, f"<@{made.discord.bot.id}> and now?")
    await made.answered(asked)


async def test_a_thread_deleted_in_the_middle_of_an_answer_ends_it(made: World) -> None:
    made.openai.answers.append(Script(text="one two three four five", hold_after=3))
    asked = made.ask("the hidden treasure of count")
    await made.discord.wait(lambda: made.posts(asked), WAIT_S)
    made.discord.delete_channel(asked)
    made.openai.release()
    later = made.ask("still there?")
    assert len(await made.answered(later)) == 1
    async with asyncio.timeout(WAIT_S):
        while turns_of(made, asked) != [] or texts_like(made, "%treasure of count%") != []:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


NESTED = "````md\n```py\n" + "print('漢字 👩‍👩‍👧')\n" * 150 + "```\n````\nThat is all."


@pytest.mark.parametrize(
    ("text", "posts"),
    [
        ("ab " * 666 + "c", 1),
        ("ab " * 666 + "cd", 1),
        ("ab " * 666 + "cde", 2),
        ("漢👍 " * 20_000, 6),
        (NESTED, 2),
    ],
    ids=["1999", "2000", "2001", "60000", "nested fences"],
)
async def test_answers_of_every_length_are_whole(made: World, text: str, posts: int) -> None:
    made.openai.answers.append(Script(text=text))
    asked = made.ask("at length, please")
    await made.answered(asked)
    texts = await made.discord.wait(lambda: len(found := made.texts(asked)) == posts and found, WAIT_S)
    assert max(map(len, texts)) <= 2_000
    assert all(text.count("````") % 2 == 0 for text in texts)
    [*_, last] = made.posts(asked)
    rest = [
        made.discord.files[file["url"].removeprefix(made.discord.files_base)] for file in last["attachments"]
    ]
    whole = "".join(texts) + "".join(content.decode() for _, content in rest)
    for mark in ("ab", "漢", "print"):
        assert whole.count(mark) == text.count(mark)


async def test_what_people_say_and_edit_among_themselves_is_not_archived(made: World) -> None:
    private = made.discord.say(made.ann, made.channel, "the treasure is buried here")
    made.discord.edit(made.channel, private, "the treasure is buried there")
    await made.answered(made.ask("are you there?"))
    with sqlite3.connect(made.folder / "threadfly.db") as archive:
        assert archive.execute("select text from messages where text like '%treasure%'").fetchall() == []
        assert archive.execute("select count(*) from messages").fetchone()[0] > 0


async def test_a_reply_to_the_bot_and_its_own_role_call_it_and_everyone_does_not(made: World) -> None:
    made.discord.deny(made.channel, ["create_public_threads"])
    asked = made.ask("by reply, please")
    (first, *_) = await made.discord.wait(lambda: answers_to(made, asked), WAIT_S)
    made.discord.say(made.ann, made.channel, "@everyone look")
    again = made.discord.say(made.ann, made.channel, "go on", reply_to=int(first["id"]))
    await made.discord.wait(lambda: answers_to(made, again), WAIT_S)
    assert any("by reply, please" in prompt for prompt in prompts(made))
    made.discord.allow(made.channel, ["create_public_threads"])
    role = made.discord.own_role(made.guild)
    asked = made.discord.say(made.ann, made.channel, f"<@&{role}> hello")
    assert len(await made.answered(asked)) == 1
    assert not any("@everyone look" in prompt for prompt in prompts(made))


def answers_to(made: World, question: int) -> list[dict[str, Any]]:
    """The bot's posts that reply to a message, where it may open no threads."""
    posts = made.posts(made.channel)
    return [
        post for post in posts if (post.get("message_reference") or {}).get("message_id") == str(question)
    ]


async def test_a_forum_post_a_voice_chat_a_private_thread_and_a_direct_message(made: World) -> None:
    forum = made.discord.channel(made.guild, "questions", kind="forum")
    post = made.discord.thread(forum, "How?", by=made.ann)
    made.ask("how?", post)
    private = made.discord.thread(
        made.channel, "secret", by=made.ann, private=True, members=[made.discord.bot.id, made.ann]
    )
    made.ask("psst", private)
    voice = made.discord.channel(made.guild, "lounge", kind="voice")
    made.ask("can you hear me?", voice)
    direct = made.discord.dm(made.ann)
    before = len(made.posts(direct))
    made.discord.say(made.ann, direct, "hello")
    for place in (post, private, voice):
        assert len(await made.answered(place)) == 1
    await made.discord.wait(lambda: len(made.posts(direct)) > before, WAIT_S)


async def test_an_archived_thread_wakes(made: World) -> None:
    asked = made.ask("good night")
    await made.answered(asked)
    made.discord.archive(asked)
    made.discord.say(made.ann, asked, "good morning")
    assert len(await made.answered(asked, 2)) == 2


async def test_connections_that_drop_in_the_middle_of_an_answer(made: World) -> None:
    made.openai.answers.append(Script(text="one two three four five", hold_after=3))
    asked = made.ask("count")
    await made.discord.wait(lambda: made.posts(asked), WAIT_S)
    await made.discord.gateway.drop()
    await made.discord.wait(lambda: any(s.socket for s in made.discord.gateway.sessions.values()), WAIT_S)
    made.discord.gateway.invalidate()
    made.openai.release()
    assert await made.answered(asked) == ["one two three four five"]
    later = made.ask("still there?")
    assert len(await made.answered(later)) == 1


async def test_two_processes_with_a_shard_each(tmp_path_factory: pytest.TempPathFactory) -> None:
    """On one archive; what one of them leaves behind, the other finishes."""
    async with world(tmp_path_factory.mktemp("shards")) as made:
        other = made.discord.channel(made.discord.guild("other", shard=1), "general")
        dying = await made.start(THREADFLY__DISCORD__SHARD_IDS="[0]", THREADFLY__DISCORD__SHARD_COUNT="2")
        await made.start(THREADFLY__DISCORD__SHARD_IDS="[1]", THREADFLY__DISCORD__SHARD_COUNT="2")
        asked = [made.ask("zero"), made.ask("one", other)]
        for thread in asked:
            assert len(await made.answered(thread)) == 1
        made.openai.answers.append(Script(text="left behind", hold_after=1))
        left = made.ask("leave this")
        await made.discord.wait(lambda: made.posts(left), WAIT_S)
        await made.kill(dying)
        assert len(await made.answered(left)) == 1


async def test_two_processes_that_both_hear_everything(tmp_path_factory: pytest.TempPathFactory) -> None:
    """As while one replaces the other: one reply to each question."""
    async with world(tmp_path_factory.mktemp("both")) as made:
        await made.start()
        await made.start()
        asked = [made.ask(f"question {number}") for number in range(10)]
        for thread in asked:
            assert len(await made.answered(thread)) == 1
        after = [made.discord.say(made.ann, thread, "and then?") for thread in asked]
        for thread in asked:
            assert len(await made.answered(thread, 2)) == 2
        assert len(after) == 10
