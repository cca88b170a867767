"""`threadfly recall --as` somebody on Slack or Discord: the platform is asked, and takes nothing in."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bot.beside import open_lookup
from bot.domain import Addressed, Author, Message, Said, SessionKey
from bot.errors import ThreadflyError
from bot.finding import Page
from bot.recall_table import asker
from bot.settings import load_settings
from storage.archive.claims import Claimant
from storage.archive.records import Records
from tests.databases import opened
from tests.fakes.discord import FakeDiscord
from tests.fakes.slack.server import ALICE, APP_TOKEN, BOB, BOT, BOT_TOKEN, CHANNEL, TEAM
from tests.fakes.slack.world import Channel
from tests.integration.slack_stage import fake_slack
from tests.integration.test_cli import threadfly

READS = ("view_channel", "read_message_history")


async def said(folder: Path, *told: tuple[SessionKey, str]) -> None:
    """Archive what somebody said in each of the sessions."""
    (folder / "data").mkdir(mode=0o700)
    async with opened(f"sqlite+aiosqlite:///{folder}/data/threadfly.db") as database:
        records = Records(database, Claimant("one", 60))
        for position, (key, text) in enumerate(told, 1_000_000):
            message = Message(position, Author("9", "Ann"), text, datetime(2026, 3, 2, 9, tzinfo=UTC))
            await records.record(Said(key, message, Addressed.MENTION, answer=False))


async def found(whom: str) -> str:
    """What the command finds for them, in the same process as the test: it starts faster."""
    by = asker(whom)
    async with open_lookup(load_settings(), by) as lookup:
        page = await lookup.find(by, "albatross", 1)
    assert isinstance(page, Page)
    return " ".join(shown.hit.line.snippet.text for shown in page.found)


async def test_as_somebody_on_slack(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with fake_slack() as slack:
        slack.add_channel(slack.team, Channel("C0PRIVATE", "plans", "group", {ALICE, BOT}))
        public, private = (SessionKey("slack", TEAM, each, "1.000001") for each in (CHANNEL, "C0PRIVATE"))
        await said(folder, (public, "the albatross flies low"), (private, "the albatross flies high"))
        for name, value in (
            ("SLACK_BOT_TOKEN", BOT_TOKEN),
            ("SLACK_APP_TOKEN", APP_TOKEN),
            ("THREADFLY__SLACK__API_URL", slack.api_url),
        ):
            monkeypatch.setenv(name, value)
        bobs = await asyncio.to_thread(threadfly, "recall", "--as", f"slack:{TEAM}:{BOB}", "albatross")
        assert ("flies low" in bobs.stdout, "flies high" in bobs.stdout) == (True, False)
        assert "#general" in bobs.stdout
        assert await found(f"slack:{TEAM}:{BOB}") == "the albatross flies low"
        assert "flies high" in await found(f"slack:{TEAM}:{ALICE}")
        with pytest.raises(ThreadflyError, match="not installed in the Slack workspace T0OTHER"):
            await found(f"slack:T0OTHER:{BOB}")
        monkeypatch.setenv("THREADFLY__SLACK__API_URL", "http://127.0.0.1:1/api/")
        with pytest.raises(ThreadflyError, match="can't be reached"):
            await found(f"slack:{TEAM}:{BOB}")
        assert not slack.deliveries.sockets


async def test_as_somebody_on_discord(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with FakeDiscord(pace=100.0) as fake:
        guild = fake.guild()
        general, ops = fake.channel(guild, "general"), fake.channel(guild, "ops")
        ann, ben = fake.person("ann", "Ann"), fake.person("ben", "Ben")
        fake.guilds[guild].members |= {ann: [], ben: []}
        fake.deny(ops, READS, role=guild)
        fake.allow(ops, READS, user=ben)
        public, private = (SessionKey("discord", str(guild), str(each), "7") for each in (general, ops))
        await said(folder, (public, "the albatross flies low"), (private, "the albatross flies high"))
        monkeypatch.setenv("DISCORD_TOKEN", fake.token)
        monkeypatch.setenv("THREADFLY__DISCORD__API_URL", fake.api_url)
        assert await found(f"discord:{guild}:{ann}") == "the albatross flies low"
        assert "flies high" in await found(f"discord:{guild}:{ben}")
        assert "flies high" in await found(f"discord:dm:{ben}")
        for whom, told in (
            (f"discord:404:{ann}", "in no Discord server 404"),
            (f"discord:abc:{ann}", "named by a number"),
            (f"discord:{guild}:ann", "named by a number"),
        ):
            with pytest.raises(ThreadflyError, match=told):
                await found(whom)
        assert fake.violations == []
