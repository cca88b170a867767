"""The composition root: opens what the settings ask for, and closes it in reverse."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from adapters.http import HttpServer
from adapters.metrics import Metrics
from bot import doctor
from bot.datafolder import prepare_data_folder
from bot.greeting import greeting
from bot.settings import Settings
from storage import schema
from storage.database import SqliteDatabase, open_database


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
        metrics = Metrics(_prices(settings))
        database = open_database(settings.archive_url)
        stack.push_async_callback(database.close)
        await schema.prepare(database)
        server = HttpServer(settings.http.host, settings.http.port, metrics.registry)
        stack.push_async_callback(server.close)
        await server.open()
        platforms = [
            name for name, on in (("Slack", settings.slack_on), ("Discord", settings.discord_on)) if on
        ]
        yield Bot(greeting(server.url, platforms, settings.playground_on, not settings.models))


async def migrate_archive(settings: Settings) -> list[str]:
    """Bring the archive's schema to this release; what was applied."""
    prepare_data_folder(settings.data_dir)
    database = open_database(settings.archive_url)
    try:
        return await schema.migrate(database)
    finally:
        await database.close()


@asynccontextmanager
async def open_checks(settings: Settings) -> AsyncIterator[list[doctor.Check]]:
    """What `threadfly doctor` looks at."""
    async with AsyncExitStack() as stack:
        yield [
            doctor.data_folder(settings.data_dir),
            doctor.http_port(settings.http.host, settings.http.port),
            _archive_check(settings, stack),
        ]


def _archive_check(settings: Settings, stack: AsyncExitStack) -> doctor.Check:
    async def probe() -> str:
        prepare_data_folder(settings.data_dir)
        database = open_database(settings.archive_url)
        stack.push_async_callback(database.close)
        fit = await schema.fit(database)
        if fit is schema.Fit.OLD and isinstance(database, SqliteDatabase):
            return ""  # `threadfly run` migrates it by itself
        return _MISFITS.get(fit, "")

    return doctor.probed("archive", f"opened {settings.archive_name}", probe, "Run `threadfly migrate`.")


_MISFITS = {
    schema.Fit.OLD: "its schema is older than this release, or missing",
    schema.Fit.NEWER: "its schema was made by a newer release; run that one",
}


def _prices(settings: Settings) -> dict[str, tuple[float, float]]:
    return {entry.name: (entry.price.prompt, entry.price.completion) for entry in settings.models}
