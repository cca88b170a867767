"""A channel that was deleted on Slack, and being forgotten by a slash command, through the real clients."""

import pytest

from bot.domain import Gone
from tests.fakes.slack.core import ScriptedCore
from tests.fakes.slack.server import BOT, CHANNEL
from tests.integration.slack_stage import fake_slack, running


@pytest.mark.parametrize("kind", ["channel_deleted", "group_deleted"])
async def test_a_deleted_channel_is_told(kind: str) -> None:
    core = ScriptedCore()
    async with fake_slack(scale=0.01) as slack, running(slack, core):
        slack.say(f"<@{BOT}> hello")
        await core.until_true(core.said)
        team = core.said()[0].key.workspace
        slack.event({"type": kind, "channel": CHANNEL, "event_ts": slack.clock.ts()})
        await core.until_true(lambda: Gone("slack", team, CHANNEL, None) in core.events)


@pytest.mark.parametrize("words", ["forget me", "Forget  me yes"])
async def test_to_be_forgotten_needs_no_thread(words: str) -> None:
    core = ScriptedCore()
    async with fake_slack(scale=0.01) as slack, running(slack, core):
        slack.command(words)
        await core.until_true(lambda: core.orders)
    assert core.orders[0].words == words
