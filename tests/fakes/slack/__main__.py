"""`python -m tests.fakes.slack --port 0`: prints its address, and serves until it is ended.

`<address>/api/` goes into `slack.api_url`; the tokens are `xoxb-fake-bot-token` and
`xapp-1-fake-app-token`. Who drives it from another process posts JSON:

    POST /control/say       {"text": "<@U0BOT> hello", "channel": "C01", "thread_ts": null}  -> {"ts": ...}
    POST /control/thread    {"ts": ..., "channel": "C01"}                 -> the bot's posts in the thread
    POST /control/drop      {}                                            breaks every connection
    POST /control/fail      {"method": "chat.update", "faults": ["cut"]}  what its next calls meet
    POST /control/limits    {"on": false}                                 tiers on or off
    POST /control/turns     {"at_once": 64, "each": 10}                   -> {"seconds": ...}: so many threads
                                                                          at once, each mention after the last
    POST /control/state     {}      -> connections, violations, calls by method, deliveries
"""

import argparse
import asyncio
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from aiohttp import web

from tests.fakes.slack.server import BOT, CHANNEL, FakeSlack
from tests.fakes.slack.world import Json

TURN_S = 60.0
"""A turn that takes longer is lost."""


class Control:
    """The verbs of the control endpoint."""

    def __init__(self, slack: FakeSlack) -> None:
        self._slack = slack
        self._verbs: dict[str, Callable[..., Any]] = {
            "say": self._say,
            "thread": self._thread,
            "drop": self._drop,
            "fail": self._fail,
            "limits": self._limits,
            "turns": self._turns,
            "state": self._state,
        }
        self._waiting: dict[str, asyncio.Future[None]] = {}
        slack.watchers.append(self._posted)

    async def answer(self, request: web.Request) -> web.Response:
        """Carry out one verb."""
        verb = self._verbs.get(request.match_info["verb"])
        if verb is None:
            return web.json_response({"error": "no such verb"}, status=404)
        arguments: Json = await request.json() if request.can_read_body else {}
        return web.json_response(await verb(**arguments))

    async def _say(self, text: str, **where: Any) -> Json:
        return {"ts": self._slack.say(text, **where)}

    async def _thread(self, ts: str, channel: str = CHANNEL) -> list[Json]:
        return self._slack.thread(ts, channel=channel)

    async def _drop(self) -> Json:
        await self._slack.deliveries.drop()
        return {}

    async def _fail(self, method: str, faults: list[str]) -> Json:
        self._slack.failures.setdefault(method, []).extend(faults)
        return {}

    async def _limits(self, on: bool) -> Json:
        self._slack.budgets.on = on
        return {}

    async def _turns(self, at_once: int, each: int) -> Json:
        began = time.perf_counter()
        await asyncio.gather(*(self._mention(each) for _ in range(at_once)))
        return {"seconds": time.perf_counter() - began}

    async def _mention(self, each: int) -> None:
        for number in range(each):
            ts = self._slack.say(f"<@{BOT}> question {number}")
            answered = self._waiting[ts] = asyncio.get_running_loop().create_future()
            async with asyncio.timeout(TURN_S):
                await answered

    def _posted(self, message: Json) -> None:
        answered = self._waiting.pop(message.get("thread_ts", ""), None)
        if answered is not None:
            answered.set_result(None)

    async def _state(self) -> Json:
        return {
            "connections": len(self._slack.deliveries.sockets),
            "violations": self._slack.violations,
            "calls": Counter(method for method, _ in self._slack.calls),
            "delivered": len(self._slack.deliveries.log),
            "acknowledged": sum(d.acknowledged for d in self._slack.deliveries.log),
        }


async def serve(port: int, scale: float, echo: bool) -> None:
    """Serve for ever."""
    slack = FakeSlack(scale=scale, echo=echo)
    slack.extra.append(web.post("/control/{verb}", Control(slack).answer))
    await slack.start(port)
    print(slack.url, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--scale", type=float, default=1.0, help="real seconds for each of Slack's")
    parser.add_argument("--no-echo", action="store_true", help="do not tell the bot of its own posts")
    given = parser.parse_args()
    asyncio.run(serve(given.port, given.scale, not given.no_echo))
