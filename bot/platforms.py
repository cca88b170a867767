"""The platforms that the settings switch on, with what each is given."""

from datetime import timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa

from adapters.web.platform import WebPlatform
from bot.gate import Gate
from bot.ports import Platform, Watermarks
from bot.remembering import ThreadMemory
from bot.settings import Settings
from storage.address import address_of
from storage.memo import Memos

if TYPE_CHECKING:
    from adapters.slack.install import Installing


from bot.core import Core


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
