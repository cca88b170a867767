"""The keys of `config.yaml`, section by section: names, defaults, and what each allows.

Each field's description says what is allowed, and ends up in the sentence about a wrong value.
"""

import contextlib
import json
import re
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
)
from pydantic_settings import NoDecode

OPENAI_KEY = "OPENAI_API_KEY"
AUTO: Final = "auto"
PERSONA = """\
You are Threadfly, a helpful colleague in a team chat. Answer in the language you are asked in, \
briefly unless asked for more, in Markdown. If you do not know something, say so."""

_UNITS_S = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}


def _seconds(value: object) -> object:
    """`90`, `"90"`, `"1.5h"`, `"15 min"` in seconds; anything else is left for pydantic to refuse."""
    if not isinstance(value, str):
        return value
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|m|min|h|d|)", value.strip().lower())
    return float(found[1]) * _UNITS_S[found[2]] if found else value


def _listed(value: object) -> object:
    """A list as a variable holds it: JSON, or words with commas between."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return json.loads(value)
    return [word for word in (word.strip() for word in value.split(",")) if word]


def _mapped(value: object) -> object:
    """Names and values as a variable holds them: JSON. Anything else is left for pydantic to refuse."""
    if not isinstance(value, str):
        return value
    with contextlib.suppress(ValueError):
        return json.loads(value)
    return value


def _automatic(value: object) -> object:
    return None if isinstance(value, str) and value.strip().lower() == "auto" else value


def _for_ever(value: object) -> object:
    return None if isinstance(value, str) and value.strip().lower() == "forever" else _seconds(value)


def _automatic_age(value: object) -> object:
    return AUTO if isinstance(value, str) and value.strip().lower() == AUTO else _for_ever(value)


def _fenced(value: str, fence: str) -> str:
    return value.rstrip("/") + fence


Seconds = Annotated[float, BeforeValidator(_seconds)]
Age = Annotated[Annotated[float, Field(ge=3600)] | None, BeforeValidator(_for_ever)]
"""None stands for `forever`."""
DefaultAge = Annotated[
    Annotated[float, Field(ge=3600)] | Literal["auto"] | None, BeforeValidator(_automatic_age)
]
PlaceName = Annotated[str, StringConstraints(pattern=r"^(slack|discord|web):[^:\s]+(:[^:\s]+)?$")]
Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)]
Numbers = Annotated[tuple[Annotated[int, Field(ge=0)], ...], NoDecode, BeforeValidator(_listed)]
Rate = Annotated[str, StringConstraints(pattern=r"^(none|[1-9]\d*/(second|minute|hour|day))$")]
WEB_ADDRESS = r"^https?://[^/\s]+\S*$"
HttpUrl = Annotated[str, StringConstraints(pattern=WEB_ADDRESS)]
ModelName = Annotated[str, StringConstraints(pattern=r"^\S+$")]
Automatic = Annotated[bool | None, BeforeValidator(_automatic)]
"""None stands for `auto`."""


class Section(BaseModel):
    """Some keys that belong together."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        coerce_numbers_to_str=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
    )


class Slack(Section):
    """How Slack is reached, and how answers grow there."""

    mode: Literal["socket", "http"] = Field("socket", description="socket or http")
    api_url: Annotated[HttpUrl, BeforeValidator(lambda url: _fenced(str(url), "/"))] = Field(
        "https://slack.com/api/", description="an address that begins with http:// or https://"
    )
    streaming: Literal["auto", "native", "edit", "off"] = Field(
        "auto", description="auto, native, edit or off"
    )
    history: Literal["internal", "limited"] = Field("internal", description="internal or limited")
    other_bots: Names = Field((), description="a list of ids of bots (U..., B...)")


class Discord(Section):
    """How Discord is reached, and which shards this process takes."""

    api_url: Annotated[HttpUrl, BeforeValidator(lambda url: _fenced(str(url), ""))] = Field(
        "https://discord.com/api/v10", description="an address that begins with http:// or https://"
    )
    shard_ids: Numbers = Field((), description="a list of whole numbers from 0, below discord.shard_count")
    shard_count: Annotated[int, Field(ge=1)] | None = Field(
        None, description="a whole number from 1, or null to ask Discord"
    )


class Http(Section):
    """Where the one HTTP server listens."""

    host: str = Field("127.0.0.1", min_length=1, description="a host name or an address of this machine")
    port: int = Field(8080, ge=0, le=65535, description="a port, 0 to 65535 (0: any that is free)")


class Hot(Section):
    """Where hot context lives, and how much of it."""

    url: str = Field(
        "embedded",
        pattern=r"^(embedded|none|(rediss?(\+cluster)?|unix)://\S+)$",
        repr=False,
        description="embedded, none, or an address like redis://host:6379 (rediss, redis+cluster, unix)",
    )
    ttl: Seconds = Field(3600, ge=1, description="a time from 1 s, in seconds or like 90s, 15m, 1h, 2d")
    window: int = Field(100, ge=1, le=10_000, description="a number of messages, 1 to 10000")


class Retention(Section):
    """How long messages are kept."""

    default: DefaultAge = Field(
        AUTO, description="auto, forever, or a time from 1h, in seconds or like 12h, 90d"
    )
    places: Annotated[dict[PlaceName, Age], NoDecode, BeforeValidator(_mapped)] = Field(
        {}, description="names like slack:T123 or slack:T123:C456, each with forever or a time like 90d"
    )


def _with_a_port(url: str) -> str:
    """`url`, if what stands where its port belongs is one. Raises `ValueError`."""
    _ = urlsplit(url).port
    return url


class Archive(Section):
    """Where every message is kept."""

    url: Annotated[str, AfterValidator(_with_a_port)] = Field(
        "sqlite",
        pattern=r"^(sqlite|sqlite(\+\w+)?:///\S.*|postgres(ql)?(\+\w+)?://\S*)$",
        repr=False,
        description="sqlite (a file under data_dir), sqlite:///a/file, or an address like postgresql://...",
    )
    mode: Literal["internal", "distributed"] = Field("internal", description="internal or distributed")
    retention: Retention = Retention()


class Price(Section):
    """What a model costs, in any one currency, for a million tokens."""

    prompt: float = Field(0, ge=0, description="a price for a million tokens, from 0")
    completion: float = Field(0, ge=0, description="a price for a million tokens, from 0")


class ModelEntry(Section):
    """One model that can be chosen."""

    name: ModelName = Field(description="a word that people type after `model`")
    model: str = Field("", description="the model's name as its server knows it; empty: the same as name")
    base_url: Annotated[HttpUrl, Field()] | Literal[""] = Field(
        "", description="an address that begins with http:// or https://, or empty for llm.base_url"
    )
    api_key_env: str = Field("", description="the name of the environment variable that holds the key")
    context_tokens: int = Field(128_000, ge=512, description="a number of tokens from 512")
    answer_tokens: int | None = Field(
        None, ge=16, description="a number of tokens from 16, below context_tokens, or null"
    )
    temperature: float | None = Field(None, ge=0, le=2, description="a number from 0 to 2, or null")
    timeout: Seconds = Field(60, ge=1, description="a time from 1 s, in seconds or like 90s, 2m")
    sees: bool = Field(False, description="true or false")
    tools: bool = Field(True, description="true or false")
    price: Price = Field(Price(), description="prompt and completion, each for a million tokens")


class Llm(Section):
    """Which models answer."""

    model: ModelName = Field(
        "auto", description="auto, offline, a model's name, or (with llm.models) a name listed there"
    )
    base_url: Annotated[HttpUrl, Field()] | Literal[""] = Field(
        "", description="an address that begins with http:// or https://, or empty for OpenAI"
    )
    api_key_env: str = Field(
        OPENAI_KEY, description="the name of the environment variable that holds the key"
    )
    models: Annotated[tuple[ModelEntry, ...], NoDecode, BeforeValidator(_listed)] = Field(
        (), description="a list of models, each with at least a name"
    )
    fallback: Names = Field((), description="a list of names out of llm.models")


class Backfill(Section):
    """How much of a thread is fetched when the bot is first called in the middle of it."""

    max: int = Field(200, ge=0, le=10_000, description="a number of messages, 0 to 10000")
    seconds: Seconds = Field(5, gt=0, le=60, description="a time up to 60 s")


class CatchUp(Section):
    """What happens with things that were said while the bot was away."""

    enabled: bool = Field(True, description="true or false")
    answer_within: Seconds = Field(900, ge=0, description="a time, in seconds or like 90s, 15m, 1h")


class Turns(Section):
    """How long a turn is one process's own, and how long the end waits for those that run."""

    lease_s: float = Field(10, ge=1, le=600, description="seconds, 1 to 600")
    grace_s: float = Field(20, ge=0, le=600, description="seconds, 0 to 600")


class Web(Section):
    """The playground."""

    playground: Automatic = Field(None, description="auto, true or false")
    token: SecretStr = Field(SecretStr(""), description="any word, in the environment alone")


class Allowed(Section):
    """Who or what may use the bot: `deny` wins, and an empty `allow` means everyone else."""

    allow: Names = Field((), description="a list of ids")
    deny: Names = Field((), description="a list of ids")


class Access(Section):
    """Who may use the bot, where, and how much."""

    workspaces: Allowed = Allowed()
    channels: Allowed = Allowed()
    users: Allowed = Allowed()
    roles: Allowed = Allowed()
    categories: Allowed = Allowed()
    direct_messages: bool = Field(True, description="true or false")
    admins: Names = Field((), description="a list of ids of people")
    per_user: Rate = Field("20/minute", description="a rate like 20/minute (second, hour, day), or none")
    per_workspace: Rate = Field(
        "600/minute", description="a rate like 600/minute (second, hour, day), or none"
    )


class Logs(Section):
    """What the log says, and in what shape."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"], BeforeValidator(lambda level: str(level).lower())
    ] = Field("info", description="debug, info, warning or error")
    format: Literal["text", "json"] = Field("text", description="text or json")
