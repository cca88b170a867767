"""What a turn costs on Slack, from a mention to its reply, beside a bare Bolt app that posts one fixed reply.

Each talks to a fake Slack of its own, a process each, through Socket Mode and the real slack-sdk, with one
shared aiohttp session. The bare app is a process too (`bare.py`); ours runs here, archives on SQLite, and has
a model that answers at once.
A mention comes as two events, and each post comes back as one, as on Slack. Measured by turns at the fake
Slack. One at a time a third bot is measured too: the bare app when all it does besides is to keep what was
said, as durably as ours. What is between it and ours is what ours does.
"""

import asyncio
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from adapters.slack import events
from adapters.slack.events import Me
from adapters.slack.platform import SlackPlatform
from benchmarks.bare import bare
from benchmarks.measuring import Size
from benchmarks.stage import wire, work
from bot import process
from bot.domain import Answer, Said
from storage.archive.watermarks import SqlWatermarks
from tests.fakes.slack.core import Log, turn_of
from tests.fakes.slack.server import ALICE, APP_TOKEN, BOT, BOT_TOKEN, CHANNEL

SHOWN = (
    "floor_turns_per_s_1",
    "durable_turns_per_s_1",
    "turns_per_s_1",
    "durable_ratio_1",
    "ratio_1",
    "floor_turns_per_s_64",
    "turns_per_s_64",
    "ratio_64",
    "floor_cpu_ms_per_turn",
    "cpu_ms_per_turn",
    "first_text_p95_ms",
)
AT_ONCE = 64
ROOT = Path(__file__).parents[1]
READY_S = 30.0


class Slack:
    """A fake Slack in a process of its own."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.api_url = f"{url}/api/"
        self._url = url
        self._session = session

    async def control(self, verb: str, **arguments: Any) -> Any:
        """Let the people there do something."""
        async with self._session.post(f"{self._url}/control/{verb}", json=arguments) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    async def connected(self, number: int) -> None:
        """Returns once the bot has so many connections."""
        async with asyncio.timeout(READY_S):
            while (await self.control("state"))["connections"] < number:  # noqa: ASYNC110  # another process
                await asyncio.sleep(0.02)

    async def turns(self, at_once: int, each: int, cpu_s: Callable[[], float]) -> "Cost":
        """So many threads at once, each with so many turns; `cpu_s` is the clock of who answers."""
        cpu = cpu_s()
        seconds = (await self.control("turns", at_once=at_once, each=each))["seconds"]
        number = at_once * each
        return Cost(number / seconds, (cpu_s() - cpu) / number * 1000)


class Cost:
    """What turns cost."""

    def __init__(self, rate: float, cpu_ms: float) -> None:
        self.rate = rate
        self.cpu_ms = cpu_ms


@asynccontextmanager
async def fake_slack(session: aiohttp.ClientSession) -> AsyncIterator[Slack]:
    """A fake Slack, without tiers; ended with the block."""
    command = (sys.executable, "-m", "tests.fakes.slack", "--port", "0")
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        slack = Slack((await process.stdout.readline()).decode().strip(), session)
        await slack.control("limits", on=False)
        yield slack
        assert (await slack.control("state"))["violations"] == []
    finally:
        process.kill()
        await process.wait()


@asynccontextmanager
async def threadfly(slack: Slack) -> AsyncIterator[SlackPlatform]:
    """The bot with SQLite, the embedded Redis and a model that answers at once."""
    async with AsyncExitStack() as stack:
        wired = await wire(stack)
        tokens = {"bot_token": BOT_TOKEN, "app_token": APP_TOKEN}
        marks = SqlWatermarks(wired.database)
        platform = SlackPlatform(marks, **tokens, api_url=slack.api_url, catch_up=False)
        service = wired.core.service
        service.serve({"slack": platform})
        stack.push_async_callback(platform.close)
        work(stack, wired.core)
        await platform.open(service.handle, service.order)
        stack.push_async_callback(platform.quiet)
        await slack.connected(2)
        yield platform


async def measure(size: Size) -> dict[str, float]:
    """Both by turns, alone and 64 at once; then the time to the first text."""
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        ours, theirs, third = [await stack.enter_async_context(fake_slack(session)) for _ in range(3)]
        floor = await stack.enter_async_context(bare("slack", theirs.api_url))
        durable = await stack.enter_async_context(bare("durable", third.api_url))
        await theirs.connected(1)
        await third.connected(1)
        platform = await stack.enter_async_context(threadfly(ours))
        process.settle()
        clocks = {theirs: floor.cpu_s, ours: time.process_time}
        alone = await _by_turns(
            clocks | {third: durable.cpu_s}, 1, size.pick(10, 50, 200), size.pick(1, 4, 6)
        )
        together = await _by_turns(clocks, AT_ONCE, size.pick(2, 10, 20), size.pick(1, 4, 6))
        first = [await _first_text_ms(ours, platform) for _ in range(size.pick(3, 30, 100))]
    results = {
        "floor_turns_per_s_1": alone[0].rate,
        "durable_turns_per_s_1": alone[2].rate,
        "turns_per_s_1": alone[1].rate,
        "durable_ratio_1": alone[2].rate / alone[0].rate,
        "ratio_1": alone[1].rate / alone[0].rate,
        "floor_turns_per_s_64": together[0].rate,
        "turns_per_s_64": together[1].rate,
        "ratio_64": together[1].rate / together[0].rate,
        "floor_cpu_ms_per_turn": together[0].cpu_ms,
        "cpu_ms_per_turn": together[1].cpu_ms,
        "first_text_p50_ms": statistics.median(first),
    }
    return results | {"first_text_p95_ms": sorted(first)[int(len(first) * 0.95)]}


async def _by_turns(
    clocks: Mapping[Slack, Callable[[], float]], at_once: int, each: int, rounds: int
) -> list["Cost"]:
    for slack, cpu_s in clocks.items():
        await slack.turns(at_once, 2, cpu_s)
    costs: dict[Slack, list[Cost]] = {slack: [] for slack in clocks}
    for _ in range(rounds):
        for slack, cpu_s in clocks.items():
            costs[slack].append(await slack.turns(at_once, each, cpu_s))
    return [_median(kept) for kept in costs.values()]


def _median(costs: list[Cost]) -> Cost:
    return Cost(statistics.median(c.rate for c in costs), statistics.median(c.cpu_ms for c in costs))


async def _first_text_ms(slack: Slack, platform: SlackPlatform) -> float:
    """From the first text that a model gives to the post in which people see it, by the post's own time."""
    ts = (await slack.control("say", text="a question to nobody", deliver=False))["ts"]
    message = {"user": ALICE, "text": f"<@{BOT}> hello", "ts": ts}
    said = events.said(message, CHANNEL, Me("T01", BOT, "B0T01"), {})
    assert isinstance(said, Said)
    log = Log(turn_of(said))
    reply = await platform.open_reply(log)
    began = time.time()
    await reply.show("The first words")
    async with asyncio.timeout(READY_S):
        await log.written.wait()
    await reply.finish(Answer("The first words and the last"))
    return log.positions[1] / 1000 - began * 1000
