"""One interaction of a person with the bot, and the answers to it. Its token lives 15 minutes."""

import logging

from adapters.discord import events
from adapters.discord.places import GROUP, Places, Spot, spot_of
from adapters.discord.rest import ALREADY_ANSWERED, Payload, Refused, Rest
from adapters.discord.sending import NO_PINGS
from adapters.posts import Throttled
from bot.domain import Author
from bot.errors import PlatformError

log = logging.getLogger(__name__)

DEFER, DEFER_UPDATE, SUGGEST, WINDOW = 5, 6, 8, 9
"""Types of responses: "thinking ...", nothing to be seen, choices for an option, and a window."""
EPHEMERAL = 1 << 6
CALLBACK = "/interactions/{interaction_id}/{webhook_token}/callback"
ORIGINAL = "/webhooks/{webhook_id}/{webhook_token}/messages/@original"
FOLLOW_UP = "/webhooks/{webhook_id}/{webhook_token}"


class Hook:
    """Everything that is said through it is for the person alone. Best effort: only `give` raises."""

    def __init__(self, rest: Rest, payload: Payload) -> None:
        self._rest = rest
        self._ids = {
            "interaction_id": payload["id"],
            "webhook_id": payload.get("application_id") or rest.application,
            "webhook_token": payload["token"],
        }

    async def think(self) -> None:
        """Answer a command within its three seconds: what was found comes later."""
        await self._call("POST", CALLBACK, {"type": DEFER, "data": {"flags": EPHEMERAL}}, tries=2)

    async def take_press(self) -> None:
        """Answer a press within its three seconds; the message stays as it is for now."""
        await self._call("POST", CALLBACK, {"type": DEFER_UPDATE}, tries=2)

    async def ask(self, window: Payload) -> None:
        """Show a window to be filled in. It can only be the first response."""
        await self._call("POST", CALLBACK, {"type": WINDOW, "data": window}, tries=2)

    async def suggest(self, choices: list[str]) -> None:
        """Offer values for the option that is being typed."""
        data = {"choices": [{"name": choice, "value": choice} for choice in choices]}
        await self._call("POST", CALLBACK, {"type": SUGGEST, "data": data}, tries=1)

    async def change(self, body: Payload) -> None:
        """Let the answer, or the message whose button was pressed, read so."""
        await self._call("PATCH", ORIGINAL, {**body, "allowed_mentions": NO_PINGS}, tries=4)

    async def say(self, sentence: str) -> None:
        """One more message."""
        body = {"content": sentence, "flags": EPHEMERAL, "allowed_mentions": NO_PINGS}
        await self._call("POST", FOLLOW_UP, body, tries=1)

    async def give(self, body: Payload, file: tuple[str, bytes]) -> None:
        """One more message, with a file. Raises `PlatformError`, `Throttled`."""
        body = {**body, "flags": EPHEMERAL, "allowed_mentions": NO_PINGS}
        await self._rest.call("POST", FOLLOW_UP, body=body, file=file, tries=1, **self._ids)

    async def _call(self, verb: str, path: str, body: Payload, tries: int) -> None:
        try:
            await self._rest.call(verb, path, body=body, tries=tries, **self._ids)
        except (PlatformError, Throttled) as error:
            if isinstance(error, Refused) and error.code == ALREADY_ANSWERED:
                return
            kind = type(error).__name__
            log.info("an interaction could not be answered", extra={"event": "unanswered", "error": kind})


async def spot(places: Places, payload: Payload) -> Spot | None:
    """Where an interaction was made; None where the bot can't talk. Raises `PlatformUnavailable`."""
    guild = int(payload["guild_id"]) if payload.get("guild_id") else None
    channel = payload.get("channel") or {}
    place = int(payload.get("channel_id") or channel.get("id") or 0)
    known = places.cached(place, guild) if guild else None
    if known is not None or not place:
        return known
    if channel.get("type") == GROUP:
        return None
    if "type" in channel:
        return spot_of({**channel, "id": place, "guild_id": payload.get("guild_id")})
    return await places.spot(place, guild)


def person(payload: Payload) -> Author:
    """Who made an interaction."""
    member = payload.get("member") or {}
    user = member.get("user") or payload["user"]
    return Author(str(user["id"]), events.display_name(user, member))
