"""Who may do what where, as Discord computes it.

https://docs.discord.com/developers/topics/permissions
"""

from collections.abc import Iterable
from dataclasses import dataclass

BITS = {
    "administrator": 1 << 3,
    "manage_channels": 1 << 4,
    "add_reactions": 1 << 6,
    "view_channel": 1 << 10,
    "send_messages": 1 << 11,
    "manage_messages": 1 << 13,
    "embed_links": 1 << 14,
    "attach_files": 1 << 15,
    "read_message_history": 1 << 16,
    "mention_everyone": 1 << 17,
    "connect": 1 << 20,
    "manage_threads": 1 << 34,
    "create_public_threads": 1 << 35,
    "create_private_threads": 1 << 36,
    "send_messages_in_threads": 1 << 38,
}
ALL = sum(BITS.values())
EVERYONE = ALL & ~(
    BITS["administrator"] | BITS["manage_channels"] | BITS["manage_messages"] | BITS["manage_threads"]
)


def bits(names: Iterable[str]) -> int:
    """The names as one number."""
    return sum(BITS[name] for name in names)


@dataclass
class Overwrite:
    """What a channel changes for one role or one member."""

    target: int
    is_member: bool
    allow: int = 0
    deny: int = 0


def compute(
    base: int,
    everyone: int,
    roles: Iterable[int],
    member: int,
    overwrites: dict[int, Overwrite],
) -> int:
    """Permissions of a member in a channel: the guild's, then what the channel's overwrites change."""
    if base & BITS["administrator"]:
        return ALL
    result = base
    if everyone in overwrites:
        result = result & ~overwrites[everyone].deny | overwrites[everyone].allow
    of_roles = [overwrites[role] for role in roles if role in overwrites]
    for overwrite in of_roles:
        result &= ~overwrite.deny
    for overwrite in of_roles:
        result |= overwrite.allow
    if member in overwrites:
        result = result & ~overwrites[member].deny | overwrites[member].allow
    if not result & BITS["view_channel"]:
        return 0
    return result
