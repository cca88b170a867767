"""Names of people and channels, asked once in a while and never waited for long."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial

from adapters.slack.workspaces import Installation
from bot.errors import PlatformError
from bot.recent import Recent

REMEMBERED = 20_000
FRESH_S = 3600.0
UNTOLD_S = 60.0
"""A name that Slack did not tell is not asked for again so soon: each message would."""
PATIENCE_S = 1.0
"""A message is archived within 3 s, so a name may not take longer than this; then its id must do."""
AT_ONCE = 8
PRIVATE = "private-channel"

Key = tuple[str, str]


class Names:
    """A bounded memory of what ids are called in each workspace."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._known: Recent[Key, tuple[str, float]] = Recent(REMEMBERED)
        self._asking: dict[Key, asyncio.Task[None]] = {}
        self._clock = clock

    async def of(
        self, installation: Installation, ids: Iterable[str], patience_s: float | None = None
    ) -> Mapping[str, str]:
        """The names of `ids`; what can't be learned in time is left out. Never raises."""
        keys = [(installation.me.workspace, each) for each in ids if each]
        stale = [key for key in keys if not self._is_fresh(key)]
        if stale:
            await asyncio.wait(self._learn(installation, stale), timeout=patience_s or PATIENCE_S)
        return {key[1]: known[0] for key in keys if (known := self._known.get(key)) is not None}

    def _is_fresh(self, key: Key) -> bool:
        known = self._known.get(key)
        return known is not None and self._clock() - known[1] < FRESH_S

    def _learn(self, installation: Installation, keys: Iterable[Key]) -> list[asyncio.Task[None]]:
        limit = asyncio.Semaphore(AT_ONCE)
        for key in keys:
            if key not in self._asking:
                self._asking[key] = asyncio.create_task(self._ask(installation, key, limit))
                self._asking[key].add_done_callback(partial(self._asked, key))
        return [self._asking[key] for key in keys]

    def _asked(self, key: Key, _: asyncio.Task[None]) -> None:
        self._asking.pop(key, None)

    async def _ask(self, installation: Installation, key: Key, limit: asyncio.Semaphore) -> None:
        async with limit:
            known_at = self._clock()
            try:
                name = await name_of(installation, key[1])
            except PlatformError:
                name, _ = self._known.get(key) or ("", 0.0)
                known_at -= FRESH_S - UNTOLD_S
        self._known.put(key, (name or key[1], known_at))

    async def close(self) -> None:
        """Ask no more."""
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def name_of(installation: Installation, each: str) -> str:
    """What Slack calls a channel (C, G) or a person (U, W). Raises `PlatformError`.

    Anybody may link to a private channel, and Slack shows its name to its members alone.
    """
    client = installation.client
    if each[0] in "BD":
        return ""
    if each[0] in "CG":
        channel = (await client.read("conversations.info", channel=each)).get("channel") or {}
        hidden = channel.get("is_private") or channel.get("is_mpim") or channel.get("is_group")
        return PRIVATE if hidden else channel.get("name") or ""
    user = (await client.read("users.info", user=each)).get("user") or {}
    profile = user.get("profile") or {}
    return profile.get("display_name") or profile.get("real_name") or user.get("name") or ""
