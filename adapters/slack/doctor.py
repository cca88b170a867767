"""What `threadfly doctor` finds out about Slack: tokens, scopes, and what a missing scope breaks."""

from collections.abc import Sequence

from adapters.posts import Throttled
from adapters.slack.client import Client, new_session, new_web_client
from adapters.slack.errors import Refused, translated
from adapters.slack.methods import COMMAND, COMMANDS, EVENTS, METHODS, OTHER_SCOPES, SHORTCUTS, bot_scopes
from bot.doctor import Check, Finding
from bot.errors import PlatformError

SCOPES_HEADER = "x-oauth-scopes"
INSTALL_AGAIN = "Compare the app with `threadfly manifest slack`, then install it again."
BOT_ADVICE = "Copy the bot token (xoxb-...) from OAuth & Permissions into SLACK_BOT_TOKEN."
APP_ADVICE = (
    "Make an app-level token (xapp-...) with connections:write under Basic Information, "
    "turn Socket Mode on, and put the token into SLACK_APP_TOKEN."
)
SETTINGS = "Slack app settings"
UNASKED = "nothing: only the app's owner can see them"
COMPARE = (
    "Hold the page App Manifest of your app (api.slack.com/apps) against `threadfly manifest slack`: "
    "an event that is missing there never comes."
)
SIGNING_SECRET_LENGTH = 32
SIGNING_ADVICE = "Copy the Signing Secret from Basic Information into SLACK_SIGNING_SECRET."


def checks(
    *, bot_token: str, app_token: str = "", signing_secret: str = "", mode: str = "socket", api_url: str
) -> list[Check]:
    """One check for each credential that the mode needs, and what can't be checked with them."""
    found = [Check("Slack bot token", f"called auth.test at {api_url}", lambda: _bot(api_url, bot_token))]
    if mode == "socket":
        tried = f"called apps.connections.open at {api_url}"
        found.append(Check("Slack app token", tried, lambda: _app(api_url, app_token)))
    else:
        found.append(Check("Slack signing secret", "looked at it", lambda: _secret(signing_secret)))
    return [*found, Check(SETTINGS, UNASKED, _settings)]


async def _bot(api_url: str, token: str) -> Finding:
    what, tried = "Slack bot token", f"called auth.test at {api_url}"
    async with new_session() as session:
        try:
            with translated("auth.test"):
                answer = await new_web_client(session, api_url, token).auth_test()
        except (PlatformError, Throttled) as exc:
            return Finding(what, tried, str(exc), _cure(exc, BOT_ADVICE), ok=False)
    granted = _granted(answer.headers)
    missing = [] if granted is None else [scope for scope in bot_scopes() if scope not in granted]
    came_back = f"I am {answer.get('user')} in {answer.get('team')}"
    if not missing:
        return Finding(what, tried, came_back)
    return Finding(
        what, tried, f"{came_back}; missing: {'; '.join(map(loss, missing))}", INSTALL_AGAIN, ok=False
    )


async def _app(api_url: str, token: str) -> Finding:
    what, tried = "Slack app token", f"called apps.connections.open at {api_url}"
    async with new_session() as session:
        client = Client(new_web_client(session, api_url), "")
        try:
            await client.call("apps.connections.open", app_token=token)
        except (PlatformError, Throttled) as exc:
            return Finding(what, tried, str(exc), _cure(exc, APP_ADVICE), ok=False)
    return Finding(what, tried, "Socket Mode can be opened")


async def _settings() -> Finding:
    """Slack tells an app's events, commands and shortcuts to whoever owns it, and not to its tokens."""
    needed = f"{len(EVENTS)} events, {len(COMMANDS)} commands, {len(SHORTCUTS)} shortcuts"
    return Finding(SETTINGS, UNASKED, f"it needs {needed}, and Slack tells its tokens of none", COMPARE)


async def _secret(secret: str) -> Finding:
    what, tried = "Slack signing secret", "looked at its form"
    if len(secret) == SIGNING_SECRET_LENGTH and secret.isalnum():
        return Finding(what, tried, "it looks right; only an event from Slack can prove it")
    return Finding(
        what, tried, f"it should have {SIGNING_SECRET_LENGTH} letters and digits", SIGNING_ADVICE, ok=False
    )


def loss(scope: str) -> str:
    """What a missing scope costs, in the names that Slack's pages use."""
    events = [event for event, scopes in EVENTS.items() if scope in scopes]
    methods = [method for method, needs in METHODS.items() if scope in needs.scopes]
    others = [COMMAND, *SHORTCUTS] if scope in OTHER_SCOPES else []
    parts = [("event", events), ("method", methods), ("command", others)]
    return f"{scope} ({', '.join(f'{kind} {name}' for kind, names in parts for name in names)})"


def _granted(headers: object) -> Sequence[str] | None:
    """The token's scopes; None where the server does not tell."""
    told = headers.get(SCOPES_HEADER) if hasattr(headers, "get") else None
    return [scope.strip() for scope in told.split(",")] if told else None


def _cure(exc: Exception, credential: str) -> str:
    return credential if isinstance(exc, Refused) else "See whether Slack can be reached from here."
