"""The composition root: opens what the settings ask for, and closes it in reverse."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import sqlalchemy as sa
from aiohttp import web

from adapters.http import HttpServer, Probe
from adapters.llm.models import ModelSettings
from adapters.llm.offline import OfflineModel
from adapters.llm.roster import Roster
from adapters.metrics import Metrics
from bot.access import Access, Lists
from bot.core import Core, wire_service
from bot.datafolder import prepare_data_folder
from bot.errors import PlatformError, StoreError, ThreadflyError
from bot.finding import Shelf
from bot.gate import Gate
from bot.greeting import greeting
from bot.platforms import open_platforms
from bot.ports import Platform
from bot.remembering import ThreadMemory
from bot.sections import Allowed, ModelEntry
from bot.settings import Settings
from bot.sharing import Stage
from bot.taking import Handing
from bot.windows import LastReads
from storage import schema
from storage.archive.strays import StrayTombstones
from storage.archive.summaries import Summaries
from storage.archive.watermarks import SqlWatermarks
from storage.archive.windows import Windows
from storage.database import Database, open_database
from storage.dragonfly import Dragonfly
from storage.embedded import EmbeddedServer
from storage.hot import DragonflyContext, NoContext, ObservedHotContext
from storage.limits import RateLimits
from storage.memo import Memos
from storage.search.upkeep import Upkeep


@runtime_checkable
class Serving(Protocol):
    """A platform that is reached through the one HTTP server."""

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """What it wants to be served."""


@dataclass(frozen=True, slots=True)
class Bot:
    """A bot that runs."""

    greeting: str
    """What to say on the terminal now that it is ready."""

    async def run_until(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set."""
        await stop.wait()


@asynccontextmanager
async def open_bot(settings: Settings) -> AsyncIterator[Bot]:
    """Everything, opened and ready. Raises `ThreadflyError` with a sentence when something can't be had."""
    prepare_data_folder(settings.data_dir)
    async with AsyncExitStack() as stack:
        metrics = Metrics(prices(settings))
        database = open_database(settings.archive_url)
        stack.push_async_callback(database.close)
        archive_id = await schema.prepare(database)
        await schema.check_writable(database)
        for upkeep in (Upkeep(database).running(), StrayTombstones(database).forgetting()):
            stack.push_async_callback(_ended, asyncio.create_task(upkeep))
        server = await open_dragonfly(settings, stack)
        hot = hot_context(settings, server, archive_id)
        gate = Gate(_access(settings), _limits(settings, server, archive_id))
        model = open_model(settings, stack)
        reads = LastReads()
        core = wire_service(settings, database, hot, model, metrics, reads, gate)
        windows, summaries = Windows(database), Summaries(database)
        platforms = open_platforms(
            settings,
            SqlWatermarks(database),
            ThreadMemory(windows, hot, summaries, reads),
            core,
            Memos(server, archive_id),
            gate,
        )
        core.recall.serve({each.name: each for each in platforms if isinstance(each, Shelf)})
        core.taking.serve({each.name: each for each in platforms if isinstance(each, Handing)})
        core.sharing.serve({each.name: each for each in platforms if isinstance(each, Stage)})
        http = HttpServer(settings.http.host, settings.http.port, metrics.registry)
        for platform in platforms:
            if isinstance(platform, Serving):
                http.mount(platform.routes())
        http.watch(_probes(database, hot, platforms))
        stack.push_async_callback(http.close)
        await http.open()
        await _open_doors(settings, core, platforms, stack)
        names = [platform.name.capitalize() for platform in platforms if platform.name != "web"]
        yield Bot(
            greeting(http.url, names, settings.playground_on, "" if settings.models else settings.llm.model)
        )


async def open_dragonfly(settings: Settings, stack: AsyncExitStack) -> Dragonfly | None:
    """The server that `hot.url` names; none where it says so or the embedded one can't be had."""
    url = settings.hot.url
    if url == "embedded":
        embedded = EmbeddedServer(settings.data_dir)
        stack.push_async_callback(embedded.close)
        url = embedded.url if await embedded.open() else "none"
    if url == "none":
        return None
    server = Dragonfly(url)
    stack.push_async_callback(server.aclose)
    return server


def hot_context(settings: Settings, server: Dragonfly | None, archive_id: str) -> ObservedHotContext:
    """Windows on `server`, or nowhere."""
    if server is None:
        return NoContext()
    return DragonflyContext(server, archive_id, limit=settings.hot.window, ttl_s=settings.hot.ttl)


def _limits(settings: Settings, server: Dragonfly | None, archive_id: str) -> RateLimits:
    return RateLimits(server, archive_id, settings.access.per_user, settings.access.per_workspace)


def _access(settings: Settings) -> Access:
    def lists(allowed: Allowed) -> Lists:
        return Lists(frozenset(allowed.allow), frozenset(allowed.deny))

    access = settings.access
    return Access(
        workspaces=lists(access.workspaces),
        channels=lists(access.channels),
        users=lists(access.users),
        roles=lists(access.roles),
        categories=lists(access.categories),
        direct_messages=access.direct_messages,
        admins=frozenset(access.admins),
    )


def open_model(settings: Settings, stack: AsyncExitStack) -> Roster | OfflineModel:
    """The models that are configured, being warmed; without any, the offline one."""
    if not settings.models:
        return OfflineModel()
    entries = settings.models
    roster = Roster(
        [model_settings(settings, entry) for entry in entries],
        entries[0].name,
        settings.llm.fallback,
    )
    stack.push_async_callback(roster.close)
    warming = asyncio.create_task(roster.warm(), name="warm the model")
    stack.push_async_callback(_ended, warming)
    return roster


async def _open_doors(
    settings: Settings,
    core: Core,
    platforms: Sequence[Platform],
    stack: AsyncExitStack,
) -> None:
    """Let messages in. At the end the doors close first, what runs is finished, and then all else ends."""
    core.service.serve({platform.name: platform for platform in platforms})
    for platform in platforms:
        stack.push_async_callback(platform.close)
    works = (
        core.keeper.renewing(),
        core.runner.sweeping(),
        core.forgetting.working(),
        core.returning.working(),
    )
    for work in works:
        stack.push_async_callback(_ended, asyncio.create_task(work))
    stack.push_async_callback(core.runner.drain, settings.turns.grace_s)
    for platform in platforms:
        try:
            await platform.open(core.service.handle, core.service.order)
        except PlatformError as error:
            raise ThreadflyError(f"{error} `threadfly doctor` tries it, and says what to do.") from error
        stack.push_async_callback(platform.quiet)


async def _ended(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _probes(database: Database, hot: ObservedHotContext, platforms: Sequence[Platform]) -> dict[str, Probe]:
    async def archive() -> str:
        try:
            await database.read(lambda c: c.execute(sa.select(1)).scalar())
        except StoreError as error:
            return str(error)
        return ""

    def ailing(platform: Platform) -> Probe:
        async def probe() -> str:
            return platform.ailing()

        return probe

    return {"archive": archive, "hot": hot.ping} | {p.name: ailing(p) for p in platforms}


def model_settings(settings: Settings, entry: ModelEntry) -> ModelSettings:
    """What an adapter is told of a model out of `settings.models`."""
    key = settings.key_of(entry)
    return ModelSettings(
        name=entry.name,
        model=entry.model,
        base_url=entry.base_url,
        api_key=key.get_secret_value() if key else None,
        context_tokens=entry.context_tokens,
        answer_tokens=entry.answer_tokens,
        temperature=entry.temperature,
        timeout_s=entry.timeout,
        prompt_price=entry.price.prompt,
        completion_price=entry.price.completion,
        sees=entry.sees,
        tools=entry.tools,
    )


def prices(settings: Settings) -> dict[str, tuple[float, float]]:
    """Every model's name, with what a million prompt and completion tokens cost."""
    return {entry.name: (entry.price.prompt, entry.price.completion) for entry in settings.models}
