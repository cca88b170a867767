"""Bots that remember nothing: what a turn costs at least, with the clients that ours uses.

Each is a process of its own, on asyncio and Python's own garbage collector, as their documentation has it:

    python -m benchmarks.bare slack|discord API_URL
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import psutil

from benchmarks.stage import ANSWER


class Floor:
    """A bare bot that runs."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)

    def cpu_s(self) -> float:
        """The processor's time that it has used."""
        used = self._process.cpu_times()
        return float(used.user + used.system)


@asynccontextmanager
async def bare(platform: str, api_url: str) -> AsyncIterator[Floor]:
    """A bare bot on `platform`, ended with the block. It may not have connected yet."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "benchmarks.bare", platform, api_url)
    try:
        yield Floor(process.pid)
    finally:
        process.kill()
        await process.wait()


async def slack(api_url: str) -> None:
    """Bolt with one session that is shared, for ever."""
    from aiohttp import ClientSession
    from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
    from slack_bolt.async_app import AsyncApp
    from slack_sdk.web.async_client import AsyncWebClient

    from tests.fakes.slack.server import APP_TOKEN, BOT_TOKEN

    async with ClientSession() as session:
        app = AsyncApp(client=AsyncWebClient(token=BOT_TOKEN, base_url=api_url, session=session))

        async def answer(event: Mapping[str, Any], client: Any) -> None:
            await client.chat_postMessage(channel=event["channel"], thread_ts=event["ts"], text=ANSWER)

        async def nothing() -> None:
            """Messages that are not mentions."""

        app.event("app_mention")(answer)
        app.event("message")(nothing)
        await AsyncSocketModeHandler(app, APP_TOKEN).connect_async()
        await asyncio.Event().wait()


async def discord(api_url: str) -> None:
    """A discord.py client, for ever."""
    from discord import Client, Intents, Message

    from adapters.discord import addresses
    from tests.fakes.discord import TOKEN

    addresses.use_api(api_url)
    addresses.use_gateway(api_url.replace("http", "ws").replace("/api/v10", "/gateway/"))
    client = Client(intents=Intents(guilds=True, messages=True, message_content=True), max_messages=None)

    async def on_message(message: Message) -> None:
        assert client.user is not None
        if client.user in message.mentions and not message.author.bot:
            await message.channel.send(ANSWER)

    client.event(on_message)
    await client.start(TOKEN)


if __name__ == "__main__":
    asyncio.run({"slack": slack, "discord": discord}[sys.argv[1]](sys.argv[2]))
