"""Pure: who may use the bot, and where."""

from collections.abc import Collection
from dataclasses import dataclass

from bot.domain import Addressed, Said


@dataclass(frozen=True, slots=True)
class Lists:
    """`deny` wins; an empty `allow` means everyone else."""

    allow: frozenset[str] = frozenset()
    deny: frozenset[str] = frozenset()

    def admit(self, ids: Collection[str]) -> bool:
        """Whether something known by any of `ids` may pass."""
        return self.deny.isdisjoint(ids) and (not self.allow or not self.allow.isdisjoint(ids))


@dataclass(frozen=True, slots=True)
class Access:
    """What operators allow. Ids are the platforms' own."""

    workspaces: Lists = Lists()
    channels: Lists = Lists()
    users: Lists = Lists()
    roles: Lists = Lists()
    categories: Lists = Lists()
    direct_messages: bool = True
    admins: frozenset[str] = frozenset()
    """Pass every list about people, and no rate limit holds them up."""

    def place(self, said: Said) -> bool:
        """Whether the bot works where this was said."""
        if said.addressed is Addressed.DIRECT:
            return self.direct_messages and self.workspaces.admit([said.key.workspace])
        return (
            self.workspaces.admit([said.key.workspace])
            and self.channels.admit([said.key.channel, said.key.thread])
            and self.categories.admit(said.groups)
        )

    def person(self, said: Said) -> bool:
        """Whether the bot answers whoever said this."""
        author = said.message.author.id
        if author in self.admins:
            return True
        return self.users.admit([author]) and (
            said.addressed is Addressed.DIRECT or self.roles.admit(said.groups)
        )
