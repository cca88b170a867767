"""A whole bot on Slack finds what was said, for those who may read it."""

from pathlib import Path

from tests.acceptance.slack_process import WAIT_S, world
from tests.fakes.slack.server import ALICE, BOB, BOT, DM, TEAM
from tests.fakes.slack.world import Channel

PRIVATE = "C0PRIVATE"


async def test_what_was_said_is_found_by_whoever_may_read_it(tmp_path: Path) -> None:
    async with world(tmp_path) as made:
        slack = made.slack
        slack.budgets.on = False
        slack.add_channel(slack.team, Channel(PRIVATE, "plans", "group", {ALICE, BOT}))
        await made.start()
        open_talk = made.ask("the lion is called Leo")
        closed_talk = made.ask("the lion must not know", channel=PRIVATE)
        await made.answered(open_talk)
        await made.answered(closed_talk, channel=PRIVATE)

        bobs = await slack.command("lion", command="/recall", user=BOB).finished()
        assert "called Leo" in str(bobs)
        assert "must not know" not in str(bobs)
        own = await slack.command("lion", command="/recall", channel=DM).finished()
        assert "must not know" in str(own)
        assert own is not None

        slack.say(f"<@{BOT}> recall lion", thread_ts=open_talk, user=BOB)
        await slack.until(lambda: slack.teams[TEAM].ephemerals, WAIT_S)
        (shown,) = slack.teams[TEAM].ephemerals
        assert (shown["user"], shown["thread_ts"]) == (BOB, open_talk)
        assert "called Leo" in str(shown["blocks"])
        slack.press_alone(shown["blocks"], "threadfly_recall_read_0", user=BOB)
        await slack.until(lambda: slack.responses, WAIT_S)
        assert "called Leo" in str(slack.responses[0][1])

        await slack.leave(ALICE, channel=PRIVATE).finished()
        left = await slack.command("lion", command="/recall", channel=DM).finished()
        assert "must not know" not in str(left)
        assert "called Leo" in str(left)
