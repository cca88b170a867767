"""What `threadfly doctor` finds out about Slack: tokens, scopes, and what a missing scope breaks.

Slack tells an app's events, commands and shortcuts to whoever owns it, and not to the app's own tokens:
`apps.manifest.export` wants an app configuration token, which belongs to a person, and lives 12 hours.
https://docs.slack.dev/app-manifests/configuring-apps-with-app-manifests
"""

from collections.abc import Mapping, Sequence
from typing import Any

from adapters.posts import Throttled
from adapters.slack import appsettings
from adapters.slack.appsettings import Mode
from adapters.slack.client import Client, new_session, new_web_client
from adapters.slack.errors import REVOKED, UNKNOWN, Refused, translated
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
    "an event that is missing there never comes. Or let me look: put an app configuration token "
    "(xoxe.xoxp-..., made at api.slack.com/apps below your apps, good for 12 hours) into SLACK_CONFIG_TOKEN."
)
REFRESH = "xoxe-"
"""What a refresh token begins with; the access token begins with `xoxe.xoxp-`."""
CONFIG_ADVICE = (
    "Make a new one at api.slack.com/apps, below your apps (Your App Configuration Tokens), and copy its "
    "Access Token (xoxe.xoxp-...) into SLACK_CONFIG_TOKEN; or leave that empty: I run without."
)
OWNER_ADVICE = (
    "Make SLACK_CONFIG_TOKEN as somebody who may change this app, for the workspace that the app belongs to."
)
NOT_OURS = frozenset(
    {"app_not_found", "invalid_app_id", "app_not_eligible", "app_not_owned_by_manager_app", "no_permission"}
)
"""https://docs.slack.dev/reference/methods/apps.manifest.export"""
PUT_RIGHT = (
    "Put what `threadfly manifest slack` prints{url} into the page App Manifest of the app {app} "
    "(api.slack.com/apps), save it, then install it again."
)
SIGNING_SECRET_LENGTH = 32
SIGNING_ADVICE = "Copy the Signing Secret from Basic Information into SLACK_SIGNING_SECRET."


def checks(
    *,
    bot_token: str,
    app_token: str = "",
    signing_secret: str = "",
    config_token: str = "",
    mode: Mode = "socket",
    api_url: str,
) -> list[Check]:
    """One check for each credential that the mode needs, and one for the app's settings.

    `bot_token` is empty where workspaces bring their own; `config_token`: see above.
    """
    found = []
    if bot_token:
        tried = f"called auth.test at {api_url}"
        found.append(Check("Slack bot token", tried, lambda: _bot(api_url, bot_token)))
    if mode == "socket":
        tried = f"called apps.connections.open at {api_url}"
        found.append(Check("Slack app token", tried, lambda: _app(api_url, app_token)))
    else:
        found.append(Check("Slack signing secret", "looked at it", lambda: _secret(signing_secret)))
    if not (bot_token and config_token):
        return [*found, Check(SETTINGS, UNASKED, _unasked)]
    tried = f"called apps.manifest.export at {api_url}"
    return [*found, Check(SETTINGS, tried, lambda: _settings(api_url, bot_token, config_token, mode))]


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


async def _unasked() -> Finding:
    return Finding(SETTINGS, UNASKED, f"it needs {_needed()}, and Slack tells its tokens of none", COMPARE)


async def _settings(api_url: str, bot_token: str, config_token: str, mode: Mode) -> Finding:
    tried = f"called apps.manifest.export at {api_url}"
    if config_token.startswith(REFRESH):
        said = "SLACK_CONFIG_TOKEN holds the refresh token, which can't ask"
        return Finding(SETTINGS, tried, said, CONFIG_ADVICE, ok=False)
    async with new_session() as session:
        try:
            app = await _app_of(Client(new_web_client(session, api_url, bot_token), ""))
        except (PlatformError, Throttled) as exc:
            said = f"the bot token does not tell which app it is of: {exc}"
            return Finding(SETTINGS, tried, said, _cure(exc, BOT_ADVICE), ok=False)
        try:
            owner = Client(new_web_client(session, api_url, config_token), "")
            exported = _told(await owner.call("apps.manifest.export", app_id=app))
        except (PlatformError, Throttled) as exc:
            return _untold(exc, tried)
    missing = appsettings.lacks(exported, mode)
    if not missing:
        return Finding(SETTINGS, tried, f"{_needed()}: all there")
    url = " for your address (--url)" if mode == "http" else ""
    to_do = PUT_RIGHT.format(url=url, app=app)
    return Finding(SETTINGS, tried, f"missing: {'; '.join(missing)}", to_do, ok=False)


async def _app_of(client: Client) -> str:
    """The app that the bot belongs to: `auth.test` names the bot, and `bots.info` its app.

    https://docs.slack.dev/reference/methods/bots.info. Raises as `Client.call`.
    """
    me = await client.call("auth.test")
    # an organisation's token has bots in many places
    where = {"team_id": me.get("enterprise_id")} if me.get("is_enterprise_install") else {}
    told = (await client.call("bots.info", bot=me.get("bot_id"), **where)).get("bot")
    app = told.get("app_id") if isinstance(told, Mapping) else None
    if not app:
        raise Refused("bots.info", "no_app_told")
    return str(app)


def _told(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    exported = answer.get("manifest")
    if not isinstance(exported, Mapping):
        raise Refused("apps.manifest.export", "no_manifest_told")
    return exported


def _untold(exc: Exception, tried: str) -> Finding:
    """Why Slack did not tell an app's settings: the token, or whose it is, or the way."""
    code = exc.code if isinstance(exc, Refused) else ""
    if code in UNKNOWN:  # other servers of Slack's API have no owners
        return Finding(SETTINGS, tried, str(exc), COMPARE)
    if code in REVOKED | {"not_allowed_token_type"}:
        said, to_do = f"{exc} It lives 12 hours.", CONFIG_ADVICE
    elif code in NOT_OURS:
        said, to_do = str(exc), OWNER_ADVICE
    else:
        said, to_do = str(exc), _cure(exc, COMPARE)
    return Finding(SETTINGS, tried, said, to_do, ok=False)


def _needed() -> str:
    return (
        f"{len(EVENTS)} events, {len(bot_scopes())} scopes, {len(COMMANDS)} commands and "
        f"{len(SHORTCUTS)} shortcuts"
    )


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
