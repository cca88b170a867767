"""Where Discord is: the one seam by which discord.py can be pointed elsewhere.

Both addresses are attributes of classes of discord.py, hence one Discord for the whole process.
"""

import re

import discord.gateway
import discord.http
import yarl

DEFAULT_API = "https://discord.com/api/v10"


def api(url: str) -> str:
    """`url` with the version that we speak, where it names none."""
    url = url.rstrip("/")
    path = yarl.URL(url).path.rstrip("/")
    if not path:
        return f"{url}/api/v10"
    return url if re.search(r"/v\d+$", path) else f"{url}/v10"


def use_api(url: str) -> None:
    """Send every REST call of the process to `url`."""
    discord.http.Route.BASE = api(url)


def use_gateway(url: str) -> None:
    """Open every gateway connection of the process at `url`, as the API told it."""
    discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(url)
