"""Every setting, valid and fitting the others. The sole reader of configuration and environment.

A value is taken from the environment, else from `.env`, else from `config.yaml`, else it is the
default in `sections.py`.
"""

import ipaddress
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from io import StringIO
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from dotenv import dotenv_values
from dotenv.parser import parse_stream
from pydantic import Field, PrivateAttr, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings import SettingsError as SourceError

from bot.complaints import no_texts, sentences, unknown_sections, unknown_variables
from bot.configfile import read_config
from bot.credentials import VARIABLES, Credentials
from bot.errors import SettingsError
from bot.redaction import without_password
from bot.sections import (
    AUTO,
    OPENAI_KEY,
    PERSONA,
    WEB_ADDRESS,
    Access,
    Archive,
    Backfill,
    CatchUp,
    Discord,
    Hot,
    Http,
    Llm,
    Logs,
    ModelEntry,
    Slack,
    Turns,
    Web,
)

OURS = "THREADFLY_"
PREFIX = f"{OURS}_"
CONFIG_VARIABLE = "THREADFLY_CONFIG"
CONFIG_FILE = "config.yaml"
ENV_FILE = ".env"
OFFLINE = "offline"
OPENAI_MODEL = ModelEntry(name="gpt-5-mini", context_tokens=400_000, sees=True)
OPENAI_URL = "https://api.openai.com/v1"
_WEB_ADDRESS = re.compile(WEB_ADDRESS)


class Settings(BaseSettings):
    """Everything that can be set. Made by `load_settings`; values are valid, and fit each other."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        env_ignore_empty=True,
        dotenv_filtering="only_existing",
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )

    data_dir: Path = Field(Path("data"), description="a folder that the bot may write to")
    slack: Slack = Slack()
    discord: Discord = Discord()
    http: Http = Http()
    hot: Hot = Hot()
    archive: Archive = Archive()
    llm: Llm = Llm()
    persona: str = Field("default", description="a name out of personas")
    personas: dict[str, Annotated[str, Field(min_length=1)]] = Field(
        {"default": PERSONA}, description="names, each with a text"
    )
    backfill: Backfill = Backfill()
    catch_up: CatchUp = CatchUp()
    turns: Turns = Turns()
    web: Web = Web()
    access: Access = Access()
    logs: Logs = Logs()

    _credentials: Credentials = PrivateAttr(default_factory=Credentials)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003  # the library's signature
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # the library's signature
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let variables win over what `config.yaml` says, which comes in as arguments."""
        return env_settings, dotenv_settings, init_settings

    def with_credentials(self, credentials: Credentials) -> Self:
        """The same settings, which know `credentials` too."""
        copy = self.model_copy()
        copy._credentials = credentials
        return copy

    @property
    def credentials(self) -> Credentials:
        """What came from the environment alone."""
        return self._credentials

    @property
    def slack_on(self) -> bool:
        """Slack's credentials are there."""
        return self._credentials.slack_complete(self.slack.mode)

    @property
    def discord_on(self) -> bool:
        """Discord's credentials are there."""
        return bool(self._credentials.discord_token.get_secret_value())

    @property
    def playground_on(self) -> bool:
        """The playground is wanted: by `web.playground`, or because there is no other platform."""
        if self.web.playground is None:
            return not (self.slack_on or self.discord_on)
        return self.web.playground

    @property
    def archive_url(self) -> str:
        """`archive.url` as SQLAlchemy's async drivers take it."""
        url = self.archive.url
        if url == "sqlite":
            return f"sqlite+aiosqlite:///{self.data_dir.absolute() / 'threadfly.db'}"
        scheme, rest = url.split("://", 1)
        driver = "sqlite+aiosqlite" if scheme.startswith("sqlite") else "postgresql+asyncpg"
        return f"{driver}://{rest}"

    @property
    def archive_name(self) -> str:
        """`archive_url` for people: without a password."""
        return without_password(self.archive_url)

    def secrets(self) -> Iterator[str]:
        """Every secret that is set, so that no log shows one."""
        yield from self._credentials.secrets()
        for url in (self.hot.url, self.archive.url):
            yield urlsplit(url).password or ""
        yield self.web.token.get_secret_value()

    @property
    def models(self) -> tuple[ModelEntry, ...]:
        """The models that can be chosen, the default first, each whole; none: the offline model answers."""
        if self.llm.model == OFFLINE or not (self.llm.models or self._served()):
            return ()
        listed = self.llm.models or (self._single_model(),)
        first = next((entry for entry in listed if entry.name == self.llm.model), listed[0])
        return tuple(
            self._whole(entry) for entry in (first, *(entry for entry in listed if entry is not first))
        )

    def key_of(self, entry: ModelEntry) -> SecretStr | None:
        """The key for a model out of `models`; None: its server wants none."""
        return self._credentials.model_keys.get(entry.api_key_env)

    def _served(self) -> bool:
        """Something says where a model is, or holds the key to it."""
        return bool(self._base_url or self._credentials.model_keys.get(self.llm.api_key_env))

    @property
    def _base_url(self) -> str:
        return self.llm.base_url or self._credentials.openai_base_url

    def _single_model(self) -> ModelEntry:
        if self.llm.model in (AUTO, OPENAI_MODEL.name):
            return OPENAI_MODEL
        return ModelEntry(name=self.llm.model)

    def _whole(self, entry: ModelEntry) -> ModelEntry:
        """The entry with what it takes over from `llm`; a server of its own never gets another one's key."""
        return entry.model_copy(
            update={
                "model": entry.model or entry.name,
                "base_url": entry.base_url or self._base_url or OPENAI_URL,
                "api_key_env": entry.api_key_env or ("" if entry.base_url else self.llm.api_key_env),
            }
        )


def load_settings(config: Path | None = None) -> Settings:
    """Read everything. `config` (else THREADFLY_CONFIG, else `config.yaml` if it is there) is the file.

    Raises `SettingsError` with a line for each thing that is wrong.
    """
    environment = _environment()
    _demand_text(environment, {name for name in environment if name.upper().startswith(OURS)} | VARIABLES)
    settings = _valid(_tree(config, environment), environment)
    keys = frozenset({settings.llm.api_key_env, *(entry.api_key_env for entry in settings.llm.models)})
    _demand_text(environment, keys)
    settings = settings.with_credentials(Credentials.out_of(environment, keys - {""}))
    if found := list(_contradictions(settings)):
        raise SettingsError("\n".join(found))
    return settings


def is_loopback(host: str) -> bool:
    """Nobody but this machine can reach `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _environment() -> dict[str, str]:
    """The variables of `.env` and of the process, which win unless they are empty."""
    path = Path(ENV_FILE)
    try:
        text = path.read_text("utf-8") if path.is_file() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{ENV_FILE} can't be read: {error}") from error
    if broken := next((line.original.line for line in parse_stream(StringIO(text)) if line.error), None):
        raise SettingsError(f"{ENV_FILE}, line {broken}: not NAME=value, or a quote that is not closed")
    from_file = dotenv_values(stream=StringIO(text))
    return {name: value for name, value in [*from_file.items(), *os.environ.items()] if value}


def _demand_text(environment: Mapping[str, str], names: Iterable[str]) -> None:
    if found := list(no_texts(environment, names)):
        raise SettingsError("\n".join(found))


def _tree(config: Path | None, environment: Mapping[str, str]) -> dict[str, Any]:
    named = config or (Path(environment[CONFIG_VARIABLE]) if CONFIG_VARIABLE in environment else None)
    path = named or Path(CONFIG_FILE)
    return read_config(path) if named or path.exists() else {}


def _valid(tree: dict[str, Any], environment: Mapping[str, str]) -> Settings:
    ours = [name for name in environment if name.upper().startswith(PREFIX)]
    if found := [*unknown_variables(ours, Settings, PREFIX), *unknown_sections(tree, Settings)]:
        raise SettingsError("\n".join(found))
    try:
        return Settings(_env_file=ENV_FILE, **tree)
    except ValidationError as error:
        raise SettingsError("\n".join(sentences(error, Settings, ours, PREFIX))) from None
    except SourceError as error:
        raise SettingsError(f"{error}; a whole section in one variable must be JSON") from None


def _contradictions(settings: Settings) -> Iterator[str]:
    """Sentences about values that are right by themselves and do not fit together."""
    yield from settings.credentials.complaints(settings.slack.mode)
    yield from _shard_complaints(settings)
    yield from _model_complaints(settings)
    if settings.persona not in settings.personas:
        allowed = ", ".join(settings.personas)
        yield f"persona is {settings.persona!r}; allowed: {allowed} (the names in personas)"
    if (
        settings.playground_on
        and not is_loopback(settings.http.host)
        and not settings.web.token.get_secret_value()
    ):
        yield (
            f"web.token is empty; with http.host {settings.http.host} others can reach the playground: "
            "set THREADFLY__WEB__TOKEN in the environment, or web.playground to false"
        )


def _shard_complaints(settings: Settings) -> Iterator[str]:
    count, ids = settings.discord.shard_count, settings.discord.shard_ids
    if ids and count is None:
        yield "discord.shard_count is empty; allowed with discord.shard_ids: the number of all shards"
    elif ids and count is not None and max(ids) >= count:
        yield f"discord.shard_ids has {max(ids)}; allowed: numbers below discord.shard_count, {count}"


def _model_complaints(settings: Settings) -> Iterator[str]:
    llm = settings.llm
    address = settings.credentials.openai_base_url
    if address and not llm.base_url and not _WEB_ADDRESS.match(address):
        yield "OPENAI_BASE_URL is no address; allowed: one that begins with http:// or https://"
    names = [entry.name for entry in llm.models]
    if twice := {name for name in names if names.count(name) > 1}:
        yield f"llm.models has {', '.join(sorted(twice))} twice; allowed: each name once"
    if names and llm.model not in (AUTO, OFFLINE, *names):
        yield f"llm.model is {llm.model!r}; allowed: {', '.join([AUTO, OFFLINE, *names])} (out of llm.models)"
    for name in llm.fallback:
        if name not in names:
            allowed = ", ".join(names) or "nothing while llm.models is empty"
            yield f"llm.fallback has {name!r}; allowed: {allowed}"
    for entry in settings.models:
        if (entry.answer_tokens or 0) >= entry.context_tokens:
            yield (
                f"llm.models: answer_tokens of {entry.name} is {entry.answer_tokens}; "
                f"allowed: less than its context_tokens, {entry.context_tokens}"
            )
        if settings.key_of(entry) is None and _needs_key(entry):
            yield f"{entry.api_key_env} is not set in the environment, and the model {entry.name} needs it"
    if not settings.models and llm.model != OFFLINE and llm.api_key_env != OPENAI_KEY:
        yield f"llm.api_key_env names {llm.api_key_env}, which is not set in the environment"


def _needs_key(entry: ModelEntry) -> bool:
    """OpenAI wants a key, and so does whoever was given a variable's name by hand."""
    by_hand = entry.api_key_env != OPENAI_KEY
    return bool(entry.api_key_env) and (by_hand or urlsplit(entry.base_url).hostname == "api.openai.com")
