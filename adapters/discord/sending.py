"""What all that we post has in common: where it goes, that it pings nobody, and that it is there once."""

from typing import Any

Payload = dict[str, Any]

LENGTH = 2_000
"""Characters of a post. Discord counts code points, as Python does (discord-api-docs issue 1315)."""
NONCE = 25
"""Characters of a nonce."""
NO_PINGS: Payload = {"parse": [], "replied_user": False}
"""`allowed_mentions` of everything that we send: nobody is pinged."""
SUPPRESS_EMBEDS = 1 << 2
"""Flag of a message below which no page is shown that it links to."""
BESIDE: Payload = {"flags": SUPPRESS_EMBEDS, "allowed_mentions": NO_PINGS}
"""What every text and file is posted with that is no part of a reply: a takeover knows it by the flag."""
MESSAGES = "/channels/{channel_id}/messages"
MESSAGE = "/channels/{channel_id}/messages/{message_id}"


_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def base36(number: int) -> str:
    """`number` in few characters."""
    digits = ""
    while number:
        number, rest = divmod(number, 36)
        digits = _DIGITS[rest] + digits
    return digits or "0"


def nonce(asked: int, number: int, again: int = 0) -> str:
    """The name under which Discord takes a part once; `again` counts parts that were made anew."""
    return f"{base36(asked)}-{number}" + (f"-{again}" if again else "")
