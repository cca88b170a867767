"""Which channels everybody can read who reads another one. Pure, over the gateway's cache.

Who is in a guild is not told without a privileged intent, so that people are not counted here: the rules
of one channel are compared with those of the other, and what that leaves open is not shown.
https://docs.discord.com/developers/topics/permissions
"""

import discord

Channel = discord.abc.GuildChannel

VOICED = (discord.VoiceChannel, discord.StageChannel)
READING = ("view_channel", "read_message_history")


def includes(other: Channel, here: Channel) -> bool:
    """Whether everybody who reads `here` can read `other`, as far as their rules show."""
    return other.id == here.id or _is_open(other) or _is_wider(other, here)


def knows(here: Channel | None, place: Channel | discord.Thread) -> bool:
    """Whether everybody who reads `here` sees that there is such a place. None: it is not known who does."""
    if isinstance(place, discord.Thread):
        return not place.is_private() and place.parent is not None and knows(here, place.parent)
    return _is_open(place) if here is None else includes(place, here)


def _is_open(channel: Channel) -> bool:
    """Whether everybody in the guild can read it: everyone may, and nobody is kept out."""
    everyone = channel.guild.default_role
    rights = channel.permissions_for(everyone)
    if not all(getattr(rights, right) for right in _needed(channel)):
        return False
    return not any(rule < 0 for target, rule in _rules(channel).items() if target[0] != everyone.id)


def _is_wider(other: Channel, here: Channel) -> bool:
    """Whether each rule of `other` gives at least what that of `here` gives.

    What roles give all over the guild is the same for both, and Discord adds rules up so that a wider
    one never takes anything away.
    """
    if not set(_needed(other)) <= set(_needed(here)):
        return False
    wide, narrow = _rules(other), _rules(here)
    needed = set(_needed(other))
    return all(wide.get(each, 0) >= narrow.get(each, 0) for each in {*wide, *narrow} if each[1] in needed)


def _rules(channel: Channel) -> dict[tuple[int, str], int]:
    """By role or member and by right: 1 where it is given, -1 where it is denied."""
    return {
        (target.id, right): 1 if value else -1
        for target, overwrite in channel.overwrites.items()
        for right in _needed(channel)
        if (value := getattr(overwrite, right)) is not None
    }


def _needed(channel: Channel) -> tuple[str, ...]:
    """The rights that one needs to read there."""
    return (*READING, "connect") if isinstance(channel, VOICED) else READING
