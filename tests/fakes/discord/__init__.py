"""A Discord of our own: REST and gateway over real sockets, strict about Discord's rules."""

from tests.fakes.discord.server import TOKEN, FakeDiscord

__all__ = ["TOKEN", "FakeDiscord"]
