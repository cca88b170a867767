"""People on the fake Discord who ask, and ask again as soon as they are answered; in a process of its own."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from benchmarks.stage import QUESTION
from tests.fakes.discord import FakeDiscord

NO_LIMITS = 1e9
"""Rate limits so short that nobody meets them."""
WHOLE_RUN = aiohttp.ClientTimeout(total=600)
STRANDED_S = 60.0


class Crowd(FakeDiscord):
    """A guild with threads, in which somebody mentions the bot."""

    def __init__(self) -> None:
        super().__init__(pace=NO_LIMITS)
        self._answered: dict[int, asyncio.Future[None]] = {}
        self.ann = self.person("ann")
        self.room = self.channel(self.guild(), "general")
        self.threads = [self.thread(self.room, f"thread {number}") for number in range(64)]

    def emit(self, event: str, payload: dict[str, Any], guild: int = 0, channel: int = 0) -> None:
        """As ever; and see whether it is a whole answer: one that nobody could stop any more."""
        super().emit(event, payload, guild, channel)
        if event.startswith("MESSAGE_") and "Stop" not in str(payload.get("components")):
            waiting = self._answered.get(channel)
            mine = payload.get("author", {}).get("id") == str(self.bot.id)
            if waiting is not None and mine and not waiting.done():
                waiting.set_result(None)

    async def ready(self) -> None:
        """Wait until a bot listens."""
        await self.wait(lambda: any(session.socket for session in self.gateway.sessions.values()))

    async def ask(self, at_once: int, each: int, *, anew: bool = False) -> float:
        """Seconds until so many threads have had so many answers each, one after the other in a thread.

        `anew`: each question is asked in the channel, and answered in a thread that is opened for it.
        """
        began = time.perf_counter()
        places = [self.room] * at_once if anew else self.threads[:at_once]
        await asyncio.gather(*(self._talk(place, each) for place in places))
        return time.perf_counter() - began

    async def _talk(self, place: int, times: int) -> None:
        for _ in range(times):
            question = self.say(self.ann, place, f"<@{self.bot.id}> {QUESTION}")
            thread = question if place == self.room else place
            answered = self._answered[thread] = asyncio.get_running_loop().create_future()
            async with asyncio.timeout(STRANDED_S):
                await answered
            del self._answered[thread]


class Remote:
    """The crowd as seen from the process that is measured."""

    def __init__(self, api_url: str, session: aiohttp.ClientSession) -> None:
        self.api_url = api_url
        self._session = session

    async def call(self, name: str, **arguments: Any) -> Any:
        """Call a method of the crowd's."""
        url = self.api_url.replace("/api/v10", "/_control")
        body = {"call": name, "args": arguments}
        async with self._session.post(url, json=body, timeout=WHOLE_RUN) as response:
            response.raise_for_status()
            return (await response.json())["result"]


@asynccontextmanager
async def crowd(command: Sequence[str] = ("-m", "benchmarks.crowd")) -> AsyncIterator[Remote]:
    """A crowd in a process of its own, ended afterwards."""
    process = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        api_url = (await process.stdout.readline()).decode().strip()
        async with aiohttp.ClientSession() as session:
            yield Remote(api_url, session)
    finally:
        process.kill()
        await process.wait()


async def _serve() -> None:
    async with Crowd() as fake:
        print(fake.api_url, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve())
