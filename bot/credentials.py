"""What comes from the environment alone, and which platforms it switches on. No I/O."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Literal, Self

from pydantic import SecretStr

NONE = SecretStr("")

_VARIABLES = {
    "slack_bot_token": "SLACK_BOT_TOKEN",
    "slack_app_token": "SLACK_APP_TOKEN",
    "slack_signing_secret": "SLACK_SIGNING_SECRET",
    "slack_config_token": "SLACK_CONFIG_TOKEN",
    "slack_client_id": "SLACK_CLIENT_ID",
    "slack_client_secret": "SLACK_CLIENT_SECRET",
    "encryption_key": "THREADFLY_ENCRYPTION_KEY",
    "discord_token": "DISCORD_TOKEN",
}

SECRET_VARIABLES = frozenset(_VARIABLES.values()) | {"OPENAI_API_KEY"}
VARIABLES = SECRET_VARIABLES | {"OPENAI_BASE_URL"}

SlackMode = Literal["socket", "http"]


@dataclass(frozen=True, slots=True)
class Credentials:
    """Tokens and keys; each is empty where the environment has none."""

    slack_bot_token: SecretStr = NONE
    slack_app_token: SecretStr = NONE
    slack_signing_secret: SecretStr = NONE
    slack_config_token: SecretStr = NONE
    """Lets `threadfly doctor` read the app's settings; nothing else needs it, and it switches nothing on."""
    slack_client_id: SecretStr = NONE
    slack_client_secret: SecretStr = NONE
    encryption_key: SecretStr = NONE
    """Encrypts the tokens of installed workspaces at rest."""
    discord_token: SecretStr = NONE
    openai_base_url: str = ""
    model_keys: Mapping[str, SecretStr] = field(default_factory=dict)
    """Variable name to key, for the variables that the settings name."""

    @classmethod
    def out_of(cls, environment: Mapping[str, str], model_keys: frozenset[str]) -> Self:
        """Pick ours out of `environment`, and the variables named in `model_keys`."""
        found = {ours: SecretStr(environment.get(name, "").strip()) for ours, name in _VARIABLES.items()}
        return cls(
            **found,
            openai_base_url=environment.get("OPENAI_BASE_URL", "").strip(),
            model_keys={
                name: SecretStr(environment[name].strip())
                for name in sorted(model_keys)
                if environment.get(name, "").strip()
            },
        )

    def slack_complete(self, mode: SlackMode) -> bool:
        """All that Slack needs in this mode is there."""
        return not self._slack_lacks(mode)

    def complaints(self, mode: SlackMode) -> Iterator[str]:
        """Sentences about a set of credentials of which only a part is there, or is swapped."""
        for_running = {ours: name for ours, name in _VARIABLES.items() if ours != "slack_config_token"}
        slack = [name for ours, name in for_running.items() if ours.startswith("slack_") and self._has(ours)]
        lacks = self._slack_lacks(mode)
        if slack and lacks:
            yield (
                f"{', '.join(slack)} {'is' if len(slack) == 1 else 'are'} set, but with slack.mode {mode} "
                f"Slack needs {' and '.join(lacks)} too; set what is missing, or unset the rest"
            )
        for ours, wrong in (("slack_bot_token", "xapp-"), ("slack_app_token", "xoxb-")):
            if getattr(self, ours).get_secret_value().startswith(wrong):
                yield f"{_VARIABLES[ours]} holds a token of the other kind: it begins with {wrong}"

    def secrets(self) -> Iterator[str]:
        """Every secret that is set, for a log that must not show one."""
        single = (getattr(self, part.name) for part in fields(self))
        for secret in (*single, *self.model_keys.values()):
            if isinstance(secret, SecretStr) and secret.get_secret_value():
                yield secret.get_secret_value()

    def _has(self, ours: str) -> bool:
        return bool(getattr(self, ours).get_secret_value())

    def _slack_lacks(self, mode: SlackMode) -> list[str]:
        needed = ["slack_bot_token", "slack_app_token"]
        if mode == "http":
            many = self._has("slack_client_id") or self._has("slack_client_secret")
            tokens = ["slack_client_id", "slack_client_secret", "encryption_key"]
            needed = [*(tokens if many else ["slack_bot_token"]), "slack_signing_secret"]
        return [_VARIABLES[ours] for ours in needed if not self._has(ours)]
