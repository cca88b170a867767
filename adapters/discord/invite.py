"""The address by which somebody brings the bot into a server, with the rights that it uses."""

from collections.abc import Mapping

import discord
import yarl

PORTAL = "https://discord.com/developers/applications"
"""Where apps are made and set up."""
SCOPES = ("bot", "applications.commands")
RIGHTS: Mapping[str, str] = {
    "view_channel": "to hear what is said where it is called",
    "send_messages": "to answer where no thread can be opened",
    "send_messages_in_threads": "to answer",
    "create_public_threads": "to open a thread from a question",
    "read_message_history": "to know what was said before it was called, and while it was away",
    "attach_files": "to send what is too long for five messages",
    "add_reactions": "to give a sign where it may not write",
}
"""Every right that is used, and what for."""


def permissions() -> discord.Permissions:
    """The rights as Discord counts them."""
    return discord.Permissions(**dict.fromkeys(RIGHTS, True))


def url(client_id: str) -> str:
    """The invitation of the application `client_id`."""
    query = {"client_id": client_id, "permissions": str(permissions().value), "scope": " ".join(SCOPES)}
    return str(yarl.URL("https://discord.com/oauth2/authorize").with_query(query))
