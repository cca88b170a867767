"""Pure: who may use the bot, and where."""

from collections.abc import Collection
from dataclasses import dataclass

from bot.domain import Addressed, SessionKey


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
    """What operators allow. Ids are the platforms' own; groups are ids of roles and categories."""

    workspaces: Lists = Lists()
    channels: Lists = Lists()
    users: Lists = Lists()
    roles: Lists = Lists()
    categories: Lists = Lists()
    direct_messages: bool = True
    admins: frozenset[str] = frozenset()
    """Pass every list about people, and no rate limit holds them up."""

    def place(self, key: SessionKey, addressed: Addressed, groups: Collection[str]) -> bool:
        """Whether the bot works there. Direct messages know neither channels nor categories."""
        if addressed is Addressed.DIRECT:
            return self.direct_messages and self.workspaces.admit([key.workspace])
        return (
            self.workspaces.admit([key.workspace])
            and self.channels.admit([key.channel, key.thread])
            and self.categories.admit(groups)
        )

    def person(
        self, user: str, groups: Collection[str] | None, addressed: Addressed = Addressed.MENTION
    ) -> bool:
        """Whether the bot serves that person. Roles count where they are known, and not in direct ones."""
        if user in self.admins:
            return True
        by_role = groups is None or addressed is Addressed.DIRECT or self.roles.admit(groups)
        return self.users.admit([user]) and by_role
