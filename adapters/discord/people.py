"""Members of guilds, as far as they spoke lately: the API's messages come without nickname and roles."""

from typing import Any

from adapters.discord.rest import Rest
from bot.errors import PlatformError
from bot.recent import Recent

Payload = dict[str, Any]

REMEMBERED = 5_000
_NONE: Payload = {"nick": None, "roles": []}


class People:
    """Who has which nickname and roles. Works without the members intent."""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest
        self._members: Recent[tuple[int, int], Payload] = Recent(REMEMBERED)

    def met(self, guild: int, payload: Payload) -> None:
        """Remember the member that came with a message."""
        if member := payload.get("member"):
            known = {"nick": member.get("nick"), "roles": list(member.get("roles") or ())}
            self._members.put((guild, int(payload["author"]["id"])), known)

    async def complete(self, guild: int | None, payload: Payload) -> Payload:
        """The message with its author's nickname and roles, as the gateway would have sent it."""
        if guild is None or payload.get("member") or payload.get("webhook_id"):
            return payload
        user = int(payload["author"]["id"])
        member = self._members.get((guild, user))
        if member is None:
            member = await self._ask(guild, user)
            self._members.put((guild, user), member)
        return {**payload, "member": member}

    async def _ask(self, guild: int, user: int) -> Payload:
        try:
            member = await self._rest.call(
                "GET", "/guilds/{guild_id}/members/{user_id}", guild_id=guild, user_id=user
            )
        except PlatformError:  # left the guild, or not to be had now: the user's own name must do
            return _NONE
        return {"nick": member.get("nick"), "roles": list(member.get("roles") or ())}
