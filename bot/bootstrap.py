"""The composition root: opens what the settings ask for, and closes it in reverse."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

import sqlalchemy as sa
from aiohttp import web

from adapters.http import HttpServer, Probe
from adapters.llm.models import ModelSettings
from adapters.llm.offline import OfflineModel
from adapters.llm.roster import Roster
from adapters.llm.tokens import count
from adapters.metrics import Metrics
from adapters.web.platform import WebPlatform
from bot.access import Access, Lists
from bot.answering import Answerer, Backfill
from bot.asking import Asking
from bot.catching_up import CatchingUp
from bot.commands import Offer
from bot.datafolder import prepare_data_folder
from bot.errors import StoreError
from bot.finding import Shelf
from bot.forgetting import Forgetting, Retention
from bot.gate import Gate
from bot.greeting import greeting
from bot.lending import KEPT_S, LENT_S, Returning
from bot.lookups import Lookups
from bot.observing import Observer
from bot.ports import HotContext, Platform, Watermarks
from bot.recall import Recall
from bot.remembering import ThreadMemory
from bot.runner import Runner
from bot.searching import Searcher
from bot.sections import Allowed, ModelEntry
from bot.service import Service
from bot.settings import Settings
from bot.sharing import Sharing, Stage
from bot.stats import Stats
from bot.summary import Summariser
from bot.taking import Handing, TakingOut
from bot.turns import Keeper
from bot.windows import LastReads, WindowLoader
from storage import schema
from storage.address import address_of
from storage.archive.carrying import Carrying
from storage.archive.claims import Claimant
from storage.archive.continuing import Continuations
from storage.archive.erasures import Erasures
from storage.archive.lending import Lending
from storage.archive.passing import PassedOver
from storage.archive.records import Records
from storage.archive.stats import read_stats
from storage.archive.strays import StrayTombstones
from storage.archive.summaries import Summaries
from storage.archive.turns import Turns
from storage.archive.watermarks import SqlWatermarks
from storage.archive.windows import Windows
from storage.database import Database, open_database
from storage.dragonfly import Dragonfly
from storage.embedded import EmbeddedServer
from storage.hot import DragonflyContext, NoContext, ObservedHotContext
from storage.limits import RateLimits
from storage.memo import Memos
from storage.search.finder import SqlFinder
from storage.search.upkeep import Upkeep

if TYPE_CHECKING:
    from adapters.slack.install import Installing


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


class Core(NamedTuple):
    """What is in the middle of everything."""

    service: Service
    runner: Runner
    keeper: Keeper
    recall: Recall
    sharing: Sharing
    forgetting: Forgetting
    taking: TakingOut
    returning: Returning


def wire_service(
    settings: Settings,
    database: Database,
    hot: HotContext,
    model: Roster | OfflineModel,
    observer: Observer,
    reads: LastReads,
    gate: Gate,
) -> Core:
    """The core over these stores and models."""
    claimant = Claimant(secrets.token_hex(8), settings.turns.lease_s)
    lent_s = LENT_S if settings.archive.mode == "distributed" else None
    records, turns = Records(database, claimant, lent_s), Turns(database, claimant)
    windows, summaries = Windows(database), Summaries(database)
    finder = SqlFinder(database)
    recall = Recall(finder, finder)
    personas = {settings.persona: settings.personas[settings.persona], **settings.personas}
    offer = Offer(models=model.names, personas=tuple(personas))
    loader = WindowLoader(hot, windows, settings.hot.window, observer, reads)
    answerer = Answerer(
        records=records,
        windows=loader,
        summaries=summaries,
        backgrounds=Continuations(database),
        asking=Asking(model, Searcher(recall, count)),
        count=count,
        personas=personas,
        offer=offer,
        backfill=Backfill(settings.backfill.max, settings.backfill.seconds),
    )
    keeper = Keeper(turns, settings.turns.lease_s)
    runner = Runner(
        turns=turns,
        windows=loader,
        answerer=answerer,
        summariser=Summariser(summaries, windows, model),
        keeper=keeper,
        observer=observer,
    )
    taking = TakingOut(finder, finder, Carrying(database), gate.wait_s)
    passing = PassedOver(database)
    sharing = Sharing(finder, finder, passing, Continuations(database))
    forgetting = Forgetting(Erasures(database), hot, retention(settings))
    service = Service(
        gate=gate,
        records=records,
        turns=turns,
        hot=hot,
        keeper=keeper,
        runner=runner,
        lookups=Lookups(recall, passing),
        catching_up=CatchingUp(recall, model),
        forgetting=forgetting,
        taking=taking,
        offer=offer,
        observer=observer,
    )
    returning = Returning(Lending(database), hot)
    return Core(service, runner, keeper, recall, sharing, forgetting, taking, returning)


def retention(settings: Settings) -> Retention:
    """How long messages are kept."""
    kept, distributed = settings.archive.retention, settings.archive.mode == "distributed"
    automatic = KEPT_S if distributed else None
    return Retention(automatic if kept.default == "auto" else kept.default, kept.places)


@asynccontextmanager
async def open_forgetting(settings: Settings) -> AsyncIterator[Forgetting]:
    """What erases, beside a bot that may be running."""
    async with _beside(settings) as (database, hot):
        yield Forgetting(Erasures(database), hot, retention(settings))


@asynccontextmanager
async def open_carrying(settings: Settings) -> AsyncIterator[Carrying]:
    """What takes the archive out and in, beside a bot that may be running."""
    async with _beside(settings) as (database, _):
        yield Carrying(database)


@asynccontextmanager
async def _beside(settings: Settings) -> AsyncIterator[tuple[Database, HotContext]]:
    """The stores of a bot that may be running."""
    prepare_data_folder(settings.data_dir)
    async with AsyncExitStack() as stack:
        database = open_database(settings.archive_url)
        stack.push_async_callback(database.close)
        archive_id = await schema.prepare(database)
        server = await open_dragonfly(settings, stack)
        yield database, hot_context(settings, server, archive_id)


async def take_stats(settings: Settings) -> Stats:
    """What the archive holds, beside a bot that may be running."""
    prepare_data_folder(settings.data_dir)
    database = open_database(settings.archive_url)
    try:
        await schema.prepare(database)
        return await read_stats(database)
    finally:
        await database.close()


def open_platforms(
    settings: Settings,
    watermarks: Watermarks,
    memory: ThreadMemory,
    core: Core,
    memos: Memos,
    gate: Gate,
) -> list[Platform]:
    """The platforms that are on, not yet connected."""
    platforms: list[Platform] = []
    if settings.slack_on:
        platforms.append(_slack(settings, watermarks, core, memos, gate))
    if settings.discord_on:
        platforms.append(_discord(settings, watermarks, core, memos, gate))
    if settings.playground_on:
        token = settings.web.token.get_secret_value()
        platforms.append(
            WebPlatform(
                settings.data_dir,
                watermarks,
                memory=memory,
                recall=core.recall,
                taker=core.taking,
                sharing=core.sharing,
                token=token,
            )
        )
    return platforms


def installing(settings: Settings) -> "Installing | None":
    """How Slack apps are installed into many workspaces; None for the one of the token."""
    from adapters.slack.install import Installing

    secrets = settings.credentials
    if settings.slack.mode != "http" or not secrets.slack_client_id.get_secret_value():
        return None
    address = address_of(sa.make_url(settings.archive_url))
    return Installing(
        client_id=secrets.slack_client_id.get_secret_value(),
        client_secret=secrets.slack_client_secret.get_secret_value(),
        encryption_key=secrets.encryption_key.get_secret_value(),
        database_url=address.url.render_as_string(hide_password=False),
        connect_args=address.arguments,
    )


def _slack(settings: Settings, watermarks: Watermarks, core: Core, memos: Memos, gate: Gate) -> Platform:
    from adapters.slack.platform import SlackPlatform

    secrets, slack = settings.credentials, settings.slack
    return SlackPlatform(
        watermarks,
        bot_token=secrets.slack_bot_token.get_secret_value(),
        app_token=secrets.slack_app_token.get_secret_value(),
        signing_secret=secrets.slack_signing_secret.get_secret_value(),
        installing=installing(settings),
        mode=slack.mode,
        api_url=slack.api_url,
        recall=core.recall,
        sharing=core.sharing,
        cache=memos,
        may=gate.may,
        streaming=slack.streaming,
        history=slack.history,
        other_bots=frozenset(slack.other_bots),
        backfill_s=settings.backfill.seconds,
        catch_up=settings.catch_up.enabled,
        answer_within_s=settings.catch_up.answer_within,
    )


def _discord(settings: Settings, watermarks: Watermarks, core: Core, memos: Memos, gate: Gate) -> Platform:
    from adapters.discord.platform import DiscordPlatform

    return DiscordPlatform(
        settings.credentials.discord_token.get_secret_value(),
        watermarks,
        api_url=settings.discord.api_url,
        shard_ids=settings.discord.shard_ids,
        shard_count=settings.discord.shard_count,
        models=[entry.name for entry in settings.models],
        personas=[settings.persona, *(name for name in settings.personas if name != settings.persona)],
        catch_up=settings.catch_up.enabled,
        answer_within=timedelta(seconds=settings.catch_up.answer_within),
        recall=core.recall,
        taker=core.taking,
        sharing=core.sharing,
        cache=memos,
        may=gate.may,
    )


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
        await platform.open(core.service.handle, core.service.order)
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


async def migrate_archive(settings: Settings) -> list[str]:
    """Bring the archive's schema to this release; what was applied."""
    prepare_data_folder(settings.data_dir)
    database = open_database(settings.archive_url)
    try:
        return await schema.migrate(database)
    finally:
        await database.close()


def prices(settings: Settings) -> dict[str, tuple[float, float]]:
    """Every model's name, with what a million prompt and completion tokens cost."""
    return {entry.name: (entry.price.prompt, entry.price.completion) for entry in settings.models}
