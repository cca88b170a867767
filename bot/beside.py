"""What operators' commands open beside a bot that may be running."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path

import sqlalchemy as sa

from bot.bootstrap import hot_context, open_dragonfly
from bot.core import retention
from bot.datafolder import prepare_data_folder
from bot.errors import ThreadflyError
from bot.finding import Shelf
from bot.forgetting import Forgetting
from bot.platforms import installing
from bot.ports import HotContext
from bot.recall import Recall
from bot.recall_table import Asker, Lookup
from bot.settings import Settings
from bot.stats import Stats
from storage import schema
from storage.archive.carrying import Carrying
from storage.archive.erasures import Erasures
from storage.archive.stats import read_stats
from storage.database import Database, open_database
from storage.search.finder import SqlFinder

OFF = "{name} is off: set {variable}, with which I ask it what somebody may read there."
UNKNOWN = "There is no platform called {name}: take slack, discord or web."
NO_ARCHIVE = (
    "There is no archive at {path}. Run this in the bot's folder, or name its settings with --config."
)


@asynccontextmanager
async def open_lookup(settings: Settings, by: Asker | None) -> AsyncIterator[Lookup]:
    """The archive, to be looked up as `by`; None: in everything. Of a platform nothing is taken in.

    Raises `ThreadflyError` where the platform is off or can't be asked.
    """
    _look_for_archive(settings)
    async with AsyncExitStack() as stack:
        database = open_database(settings.archive_url)
        stack.push_async_callback(database.close)
        await schema.prepare(database)
        finder = SqlFinder(database)
        recall = Recall(finder, finder)
        if by is not None:
            recall.serve({by.platform: await stack.enter_async_context(_shelf(settings, by))})
        yield Lookup(recall, finder.everywhere)


def _shelf(settings: Settings, by: Asker) -> AbstractAsyncContextManager[Shelf]:
    match by.platform:
        case "web":
            return _playground()
        case "slack":
            if not settings.slack_on:
                raise ThreadflyError(OFF.format(name="Slack", variable="SLACK_BOT_TOKEN"))
            return _slack(settings, by.workspace)
        case "discord":
            if not settings.discord_on:
                raise ThreadflyError(OFF.format(name="Discord", variable="DISCORD_TOKEN"))
            if not by.user.isdecimal():
                raise ThreadflyError(f"A Discord user is named by a number, and not {by.user!r}.")
            return _discord(settings, by.workspace)
    raise ThreadflyError(UNKNOWN.format(name=repr(by.platform)))


@asynccontextmanager
async def _playground() -> AsyncIterator[Shelf]:
    from adapters.web.cast import Cast
    from adapters.web.shelf import CastShelf

    yield CastShelf(Cast.of())


def _slack(settings: Settings, workspace: str) -> AbstractAsyncContextManager[Shelf]:
    from adapters.slack.beside import shelf_of

    return shelf_of(
        workspace,
        api_url=settings.slack.api_url,
        bot_token=settings.credentials.slack_bot_token.get_secret_value(),
        installing=installing(settings),
    )


def _discord(settings: Settings, workspace: str) -> AbstractAsyncContextManager[Shelf]:
    from adapters.discord.beside import shelf_of

    return shelf_of(
        workspace,
        api_url=settings.discord.api_url,
        token=settings.credentials.discord_token.get_secret_value(),
    )


@asynccontextmanager
async def open_forgetting(settings: Settings) -> AsyncIterator[Forgetting]:
    """What erases, beside a bot that may be running. Raises `ThreadflyError` where there is no archive."""
    _look_for_archive(settings)
    async with _beside(settings) as (database, hot):
        yield Forgetting(Erasures(database), hot, retention(settings))


@asynccontextmanager
async def open_carrying(settings: Settings, *, out: bool) -> AsyncIterator[Carrying]:
    """What takes the archive out and in, beside a bot that may be running.

    `out`: raises `ThreadflyError` where there is no archive; else one is made.
    """
    if out:
        _look_for_archive(settings)
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


def _look_for_archive(settings: Settings) -> None:
    """Nobody who is in the wrong folder is told that there is nothing, or nothing left."""
    url = sa.make_url(settings.archive_url)
    path = Path(url.database or "")
    if url.get_backend_name() == "sqlite" and not path.exists():
        raise ThreadflyError(NO_ARCHIVE.format(path=path))


async def take_stats(settings: Settings) -> Stats:
    """What the archive holds, beside a bot that may be running. Raises as `open_forgetting`."""
    _look_for_archive(settings)
    database = open_database(settings.archive_url)
    try:
        await schema.prepare(database)
        return await read_stats(database)
    finally:
        await database.close()


async def migrate_archive(settings: Settings) -> list[str]:
    """Bring the archive's schema to this release; what was applied."""
    prepare_data_folder(settings.data_dir)
    database = open_database(settings.archive_url)
    try:
        return await schema.migrate(database)
    finally:
        await database.close()
