"""What the tests of the Slack island share: a fake Slack, the platform on it, a scripted core."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from adapters.slack.platform import SlackPlatform
from tests.fakes.slack import FakeSlack
from tests.fakes.slack.core import Marks, ScriptedCore
from tests.fakes.slack.server import APP_TOKEN, BOT_TOKEN


@asynccontextmanager
async def fake_slack(**options: Any) -> AsyncIterator[FakeSlack]:
    """A Slack; at the end no rule may have been broken."""
    slack = await FakeSlack(**options).start()
    try:
        yield slack
    finally:
        await slack.close()
    assert slack.violations == []


def platform_on(slack: FakeSlack, marks: Marks | None = None, **options: Any) -> SlackPlatform:
    """The platform with the tokens of the fake's first team."""
    settings: dict[str, Any] = {
        "bot_token": BOT_TOKEN,
        "app_token": APP_TOKEN,
        "signing_secret": slack.deliveries.signing_secret,
        "api_url": slack.api_url,
        "catch_up": False,
    }
    return SlackPlatform(marks or Marks(), **(settings | options))


@asynccontextmanager
async def running(
    slack: FakeSlack, core: ScriptedCore, marks: Marks | None = None, **options: Any
) -> AsyncIterator[SlackPlatform]:
    """The platform, connected, with `core` behind it."""
    platform = platform_on(slack, marks, **options)
    core.platform = platform
    try:
        await platform.open(core, core.desk)
        yield platform
    finally:
        await platform.quiet()
        await core.close()
        await platform.close()
