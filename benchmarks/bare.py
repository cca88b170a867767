"""Bots that remember nothing: what a turn costs at least, with the clients that ours uses.

Each is a process of its own, on asyncio and Python's own garbage collector, as their documentation has it:

    python -m benchmarks.bare slack|durable|discord API_URL

`durable` is the one for Slack on what ours runs on (uvloop, SQLite, Redis): it commits a row before it
answers and another after, asks Redis twice, and does nothing else. What ours does beside that is its own.
"""

import asyncio
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import sqlalchemy as sa

from benchmarks.stage import ANSWER, open_redis
from bot import process
from storage.database import SqliteDatabase
from storage.dragonfly import Dragonfly
from storage.prepared import prepared


class Floor:
    """A bare bot that runs."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)

    def cpu_s(self) -> float:
        """The processor's time that it has used."""
        used = self._process.cpu_times()
        return float(used.user + used.system)


@asynccontextmanager
async def bare(which: str, api_url: str) -> AsyncIterator[Floor]:
    """One of these bots, ended with the block. It may not have connected yet."""
    bot = await asyncio.create_subprocess_exec(sys.executable, "-m", "benchmarks.bare", which, api_url)
    try:
        yield Floor(bot.pid)
    finally:
        bot.terminate()
        await bot.wait()


Step = Callable[[str], Awaitable[None]]
"""What is done with a text."""


async def slack(api_url: str) -> None:
    """Bolt with one session that is shared, until it is ended."""

    async def forget(text: str) -> None:
        """Nothing is kept."""

    await _slack(api_url, forget, forget)


async def durable(api_url: str) -> None:
    """The same, but what was asked and what was answered is kept."""
    table = sa.Table("said", sa.MetaData(), sa.Column("text", sa.String))
    insert = prepared(sa.insert(table).values(text=sa.bindparam("said")))
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="threadfly-bench-")))
        database = SqliteDatabase(folder / "archive.db")
        stack.push_async_callback(database.close)
        await database.write(table.create)
        redis = Dragonfly(await open_redis(folder, stack))
        stack.push_async_callback(redis.aclose)

        async def ask(text: str) -> None:
            await database.write(lambda c: insert.run(c, {"said": text}))
            await redis.command("PING")

        async def answer(text: str) -> None:
            await database.write(lambda c: insert.run(c, {"said": text}))
            await redis.command("PING")

        await _slack(api_url, ask, answer)


async def _slack(api_url: str, before: Step, after: Step) -> None:
    from aiohttp import ClientSession
    from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
    from slack_bolt.async_app import AsyncApp
    from slack_sdk.web.async_client import AsyncWebClient

    from tests.fakes.slack.server import APP_TOKEN, BOT_TOKEN

    async with ClientSession() as session:
        app = AsyncApp(client=AsyncWebClient(token=BOT_TOKEN, base_url=api_url, session=session))

        async def answer(event: Mapping[str, Any], client: Any) -> None:
            await before(event["text"])
            await client.chat_postMessage(channel=event["channel"], thread_ts=event["ts"], text=ANSWER)
            await after(ANSWER)

        async def nothing() -> None:
            """Messages that are not mentions."""

        app.event("app_mention")(answer)
        app.event("message")(nothing)
        ended = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
        sockets = AsyncSocketModeHandler(app, APP_TOKEN)
        await sockets.connect_async()
        await ended.wait()
        await sockets.close_async()


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
    _, which, where = sys.argv
    run = process.run if which == "durable" else asyncio.run
    run({"slack": slack, "durable": durable, "discord": discord}[which](where))
