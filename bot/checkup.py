"""Composition root of `threadfly doctor`: what there is to check under these settings."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

from adapters.llm.roster import Patience, Roster
from bot import doctor
from bot.bootstrap import model_settings
from bot.datafolder import prepare_data_folder
from bot.errors import ArchiveOutdated
from bot.redaction import without_password
from bot.settings import Settings
from storage import schema
from storage.database import SqliteDatabase, open_database
from storage.dragonfly import Dragonfly
from storage.embedded import EmbeddedServer

OLD_SCHEMA = "its schema is older than this release, or missing"


@asynccontextmanager
async def open_checks(settings: Settings) -> AsyncIterator[list[doctor.Check]]:
    """Everything that is configured, ready to be looked at; closed again at the end."""
    async with AsyncExitStack() as stack:
        yield [
            doctor.data_folder(settings.data_dir),
            doctor.http_port(settings.http.host, settings.http.port),
            _archive(settings, stack),
            _hot(settings, stack),
            *_models(settings, stack),
            *_slack(settings),
            *_discord(settings),
        ]


def _archive(settings: Settings, stack: AsyncExitStack) -> doctor.Check:
    async def probe() -> str:
        database = open_database(settings.archive_url)
        stack.push_async_callback(database.close)
        if isinstance(database, SqliteDatabase):
            prepare_data_folder(settings.data_dir)
        fit = await schema.fit(database)
        if fit is schema.Fit.NEWER:
            raise ArchiveOutdated(schema.MADE_BY_NEWER)
        if fit is schema.Fit.CURRENT:
            await schema.check_writable(database)
        if fit is schema.Fit.CURRENT or isinstance(database, SqliteDatabase):
            return ""  # an older file is migrated by `threadfly run` itself
        return OLD_SCHEMA

    return doctor.probed("archive", f"opened {settings.archive_name}", probe, "Run `threadfly migrate`.")


def _hot(settings: Settings, stack: AsyncExitStack) -> doctor.Check:
    url = settings.hot.url

    async def unused() -> str:
        return ""

    async def embedded() -> str:
        prepare_data_folder(settings.data_dir)
        server = EmbeddedServer(settings.data_dir)
        stack.push_async_callback(server.close)
        if not await server.open():
            return "it can't start here; the log above says why"
        return await _ping(server.url, stack)

    if url == "none":
        return doctor.probed("hot", "nothing: hot.url is none", unused, "")
    if url == "embedded":
        to_do = "Set hot.url to a Dragonfly, or to none: it only gets slower."
        return doctor.probed("hot", "started the embedded server", embedded, to_do)
    to_do = "Start it, or set hot.url to where it runs. Until then the bot is only slower."
    return doctor.probed("hot", f"pinged {without_password(url)}", lambda: _ping(url, stack), to_do)


async def _ping(url: str, stack: AsyncExitStack) -> str:
    server = Dragonfly(url)
    stack.push_async_callback(server.aclose)
    return await server.ping()


def _models(settings: Settings, stack: AsyncExitStack) -> Iterator[doctor.Check]:
    """Each model by itself: asked once, with no other to fall back on."""
    if not settings.models:
        yield doctor.offline_model()
    for entry in settings.models:
        one = replace(model_settings(settings, entry), answer_tokens=None)
        roster = Roster([one], one.name, patience=Patience(tries=1))
        stack.push_async_callback(roster.close)
        yield doctor.model(roster, one.name, without_password(one.base_url))


def _slack(settings: Settings) -> list[doctor.Check]:
    credentials = settings.credentials
    if not settings.slack_on:
        return []
    from adapters.slack.doctor import checks

    return checks(
        bot_token=credentials.slack_bot_token.get_secret_value(),
        app_token=credentials.slack_app_token.get_secret_value(),
        signing_secret=credentials.slack_signing_secret.get_secret_value(),
        config_token=credentials.slack_config_token.get_secret_value(),
        mode=settings.slack.mode,
        api_url=settings.slack.api_url,
    )


def _discord(settings: Settings) -> Iterator[doctor.Check]:
    tried = f"asked {settings.discord.api_url}"

    async def look() -> list[doctor.Finding]:
        from adapters.discord.doctor import examine

        token = settings.credentials.discord_token.get_secret_value()
        return [
            doctor.Finding(told.what, tried, told.found, told.advice, ok=told.well)
            async for told in examine(token, settings.discord.api_url)
        ]

    if settings.discord_on:
        yield doctor.Check("Discord", tried, look)
