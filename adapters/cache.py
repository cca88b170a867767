"""A port for what may be remembered for a few seconds, with all processes together."""

from typing import Protocol


class Cache(Protocol):
    """Remembers texts by name. Never raises: what it can't keep or find is not there."""

    async def get(self, name: str) -> str | None:
        """What was put under `name`, while it is fresh; None otherwise."""

    async def put(self, name: str, value: str, ttl_s: float) -> None:
        """Remember `value` for so long."""

    async def drop(self, name: str) -> None:
        """Forget it now."""


class NoCache:
    """Remembers nothing."""

    async def get(self, name: str) -> str | None:  # noqa: ARG002  # the port's
        """Never there."""
        return None

    async def put(self, name: str, value: str, ttl_s: float) -> None:
        """Nowhere."""

    async def drop(self, name: str) -> None:
        """There is nothing."""
