"""Files come from Slack's own hosts, bounded, and the token goes nowhere else."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from adapters.slack.platform import SlackPlatform
from bot.domain import Answer, Attachment, Said
from bot.ports import Reply
from tests.fakes.slack import FakeSlack
from tests.fakes.slack.core import ScriptedCore
from tests.fakes.slack.server import BOT
from tests.integration.slack_stage import fake_slack, running


@pytest.fixture
async def slack() -> AsyncIterator[FakeSlack]:
    async with fake_slack() as slack:
        slack.budgets.on = False
        yield slack


@pytest.fixture
def core() -> ScriptedCore:
    return ScriptedCore()


@pytest.fixture
async def platform(slack: FakeSlack, core: ScriptedCore) -> AsyncIterator[SlackPlatform]:
    async with running(slack, core) as platform:
        yield platform


async def shared(slack: FakeSlack, core: ScriptedCore, *files: dict[str, object]) -> tuple[Attachment, ...]:
    slack.say(f"<@{BOT}> look", files=list(files), subtype="file_share")
    await core.until(core.said)
    return core.said()[0].message.attachments


async def test_a_shared_file_is_fetched_with_the_token(
    slack: FakeSlack, core: ScriptedCore, platform: SlackPlatform
) -> None:
    (attachment,) = await shared(slack, core, slack.hand("cat.png", b"\x89PNG", "image/png"))
    assert (attachment.name, attachment.type, attachment.size) == ("cat.png", "image/png", 4)
    assert await platform.fetch(attachment, 4) == b"\x89PNG"


async def test_a_file_that_says_less_than_it_holds_is_still_bounded(
    slack: FakeSlack, core: ScriptedCore, platform: SlackPlatform
) -> None:
    file = slack.hand("big.txt", b"x" * 1000, "text/plain")
    file["size"] = 1
    (attachment,) = await shared(slack, core, file)
    assert await platform.fetch(attachment, 999) is None
    assert await platform.fetch(attachment, 1000) == b"x" * 1000


async def test_without_the_scope_the_sign_in_page_is_not_taken_for_the_file(
    slack: FakeSlack, core: ScriptedCore, platform: SlackPlatform
) -> None:
    (attachment,) = await shared(slack, core, slack.hand("notes.txt", b"text", "text/plain"))
    slack.team.scopes.discard("files:read")
    assert await platform.fetch(attachment, 100_000) is None


async def test_a_file_that_is_gone_is_none(
    slack: FakeSlack, core: ScriptedCore, platform: SlackPlatform
) -> None:
    file = slack.hand("notes.txt", b"text", "text/plain")
    (attachment,) = await shared(slack, core, file)
    del slack.team.contents[file["id"]]
    assert await platform.fetch(attachment, 100) is None


async def test_a_file_of_another_organisation_is_asked_for_first(
    slack: FakeSlack, core: ScriptedCore, platform: SlackPlatform
) -> None:
    file = slack.hand("notes.txt", b"text", "text/plain")
    told = {"id": file["id"], "mode": "file_access", "file_access": "check_file_info"}
    (attachment,) = await shared(slack, core, told)
    assert await platform.fetch(attachment, 100) == b"text"


async def test_a_server_for_tries_may_call_itself_localhost(
    slack: FakeSlack, core: ScriptedCore, platform: SlackPlatform
) -> None:
    file = slack.hand("notes.txt", b"text", "text/plain")
    file["url_private_download"] = file["url_private_download"].replace("127.0.0.1", "localhost")
    (attachment,) = await shared(slack, core, file)
    assert await platform.fetch(attachment, 100) == b"text"


async def test_the_token_goes_to_no_other_host(
    slack: FakeSlack, core: ScriptedCore, platform: SlackPlatform
) -> None:
    met: list[str] = []

    async def other(request: web.Request) -> web.Response:
        met.append(request.headers.get("Authorization", ""))
        return web.Response(text="text")

    app = web.Application()
    app.router.add_get("/files-pri/{rest:.*}", other)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    file = slack.hand("notes.txt", b"text", "text/plain")
    file["url_private_download"] = f"http://127.0.0.1:{runner.addresses[0][1]}/files-pri/x"
    (attachment,) = await shared(slack, core, file)
    assert await platform.fetch(attachment, 100) is None
    lookalike = Attachment("a", "", 1, "https://files.slack.com.evil.example/a#T01/F1")
    assert await platform.fetch(lookalike, 100) is None
    plain = Attachment("a", "", 1, "http://files.slack.com/a#T01/F1")
    assert await platform.fetch(plain, 100) is None
    await runner.cleanup()
    assert met == []


async def test_a_reply_too_long_for_posts_goes_on_as_a_file(
    slack: FakeSlack, core: ScriptedCore, platform: SlackPlatform
) -> None:
    text = "".join(f"line {n}\n" for n in range(9_000))

    async def script(reply: Reply, said: Said) -> Answer:
        return Answer(text)

    core.script = script
    ts = slack.say(f"<@{BOT}> a lot")
    await core.until(lambda: core.answered or core.failures)
    assert core.failures == []
    *_, last = slack.thread(ts)
    (file,) = last["files"]
    assert file["name"] == "answer.md"
    assert slack.team.contents[file["id"]].decode().endswith("line 8999\n")


async def test_without_the_right_to_upload_the_rest_is_posted(
    slack: FakeSlack, core: ScriptedCore, platform: SlackPlatform
) -> None:
    slack.team.scopes.discard("files:write")
    text = "".join(f"line {n}\n" for n in range(9_000))

    async def script(reply: Reply, said: Said) -> Answer:
        return Answer(text)

    core.script = script
    ts = slack.say(f"<@{BOT}> a lot")
    await core.until(lambda: core.answered or core.failures)
    assert core.failures == []
    assert "line 8999" in slack.thread(ts)[-1]["blocks"][0]["text"]


async def test_an_upload_whose_end_was_cut_off_is_not_made_twice(
    slack: FakeSlack, core: ScriptedCore, platform: SlackPlatform
) -> None:
    async def script(reply: Reply, said: Said) -> Answer:
        return Answer("word " * 13_000)

    slack.failures["files.completeUploadExternal"] = ["cut"]
    core.script = script
    ts = slack.say(f"<@{BOT}> a lot")
    await core.until(lambda: core.answered or core.failures, timeout=20)
    assert core.failures == []
    assert len([m for m in slack.thread(ts) if m.get("files")]) == 1
