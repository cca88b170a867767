"""Settings: where a value comes from, and the sentence about a wrong one."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from bot.errors import SettingsError
from bot.sections import ModelEntry
from bot.settings import Settings, load_settings

SHIPPED = Path(__file__).parents[2] / "config.yaml"
BOT, APP, SIGNING = "xoxb-0123456789", "xapp-0123456789", "0123456789abcdef"


def write(folder: Path, text: str, name: str = "config.yaml") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def complaint(config: Path | None = None) -> str:
    """The sentence that the start is stopped with."""
    with pytest.raises(SettingsError) as caught:
        load_settings(config)
    return str(caught.value)


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from keys(kind, f"{prefix}{name}.")
        else:
            yield prefix + name


def at(tree: dict[str, Any], key: str) -> Any:
    for step in key.split("."):
        tree = tree[step]
    return tree


def test_without_any_file_or_variable_the_defaults_hold(folder: Path) -> None:
    assert load_settings() == Settings()


def test_the_shipped_file_says_what_the_defaults_are(folder: Path) -> None:
    assert load_settings(SHIPPED) == Settings()


@pytest.mark.parametrize("key", list(keys(Settings)))
def test_the_shipped_file_has_every_key(key: str) -> None:
    at(yaml.safe_load(SHIPPED.read_text("utf-8")), key)


def test_the_example_of_a_model_in_the_shipped_file_is_valid_and_complete(folder: Path) -> None:
    lines = SHIPPED.read_text("utf-8").splitlines()
    first = next(number for number, line in enumerate(lines) if "#   - name: large" in line)
    last = lines.index("  models: []")
    example = "\n".join(line.replace("  # ", "", 1) for line in lines[first:last])
    (entry,) = yaml.safe_load(example)
    assert set(entry) == set(ModelEntry.model_fields)
    ModelEntry.model_validate(entry)


@pytest.mark.parametrize("key", list(keys(Settings)))
def test_every_key_can_be_set_by_a_variable(key: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THREADFLY__" + key.replace(".", "__").upper(), "\N{SNOWMAN} nothing takes this")
    try:
        settings = load_settings()
    except SettingsError as error:
        told = str(error)
    else:
        told = key if settings != Settings.model_construct() else "nothing"
    assert key in told
    assert "is no setting" not in told


def test_the_environment_wins_over_dotenv_and_that_over_the_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder, "http: {host: 127.0.0.9, port: 1}\nhot: {window: 7}")
    write(folder, "THREADFLY__HTTP__PORT=2\nTHREADFLY__HTTP__HOST=127.0.0.2\nOTHER=x", ".env")
    monkeypatch.setenv("THREADFLY__HTTP__PORT", "3")
    monkeypatch.setenv("THREADFLY__HOT__URL", "")
    settings = load_settings()
    assert (settings.http.host, settings.http.port, settings.hot.window) == ("127.0.0.2", 3, 7)
    assert settings.hot.url == "embedded"


def test_another_file_is_named_by_the_option_or_by_a_variable(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder, "http: {port: 1}")
    monkeypatch.setenv("THREADFLY_CONFIG", str(write(folder, "http: {port: 2}", "two.yaml")))
    assert load_settings().http.port == 2
    assert load_settings(write(folder, "http: {port: 3}", "three.yaml")).http.port == 3


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("15m", 900), ("15 min", 900), ("1.5h", 5400), ("2d", 172800)],
)
def test_times_are_seconds_or_have_a_unit(text: str, seconds: float, folder: Path) -> None:
    write(folder, f"hot: {{ttl: {text}}}")
    assert load_settings().hot.ttl == seconds


@pytest.mark.parametrize("text", ["7, 8", "[7, 8]", '["7", "8"]'])
def test_a_list_in_a_variable_is_written_with_commas_or_as_json(
    text: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THREADFLY__ACCESS__USERS__DENY", text)
    assert load_settings().access.users.deny == ("7", "8")


def test_models_in_a_variable_are_json(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THREADFLY__LLM__MODELS", '[{"name": "a", "base_url": "http://h/v1"}]')
    assert [entry.name for entry in load_settings().models] == ["a"]


def test_a_persona_in_a_variable_joins_those_of_the_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder, "personas: {pirate: Arr}\npersona: pirate")
    monkeypatch.setenv("THREADFLY__PERSONAS__CALM", "Breathe")
    assert load_settings().personas == {"pirate": "Arr", "calm": "Breathe"}


def test_off_and_long_ids_need_no_quotes(folder: Path) -> None:
    write(folder, "slack: {streaming: off}\naccess: {users: {allow: [123456789012345678]}}")
    settings = load_settings()
    assert settings.slack.streaming == "off"
    assert settings.access.users.allow == ("123456789012345678",)


WRONG = {
    "http: {port: 99999}": "http.port is 99999; allowed: a port, 0 to 65535 (0: any that is free)",
    "http: {port: high}": "http.port is 'high'; allowed: a port",
    "http: {host: }": "http.host is empty; allowed: a host name",
    "http: 8080": "http is 8080; allowed: a section",
    "slack: {mode: sockets}": "slack.mode is 'sockets'; allowed: socket or http",
    "slack: {api_url: slack.com}": "slack.api_url is 'slack.com; allowed: an address".replace(
        "com;", "com/';"
    ),
    "hot: {ttl: soon}": "hot.ttl is 'soon'; allowed: a time from 1 s",
    "hot: {tll: 5}": "hot.tll is no setting; did you mean hot.ttl?",
    "port: 8080": "port is no setting; did you mean http.port?",
    "turns: {zzz: 1}": "turns.zzz is no setting; allowed: turns.lease_s, turns.grace_s",
    "hot: {url: mysql://h}": "hot.url is 'mysql://h'; allowed: embedded, none, or",
    "hot: {url: 'mysql://u:sesame@h'}": "hot.url is 'mysql://u:***@h'; allowed",
    "archive: {url: x.db}": "archive.url is 'x.db'; allowed: sqlite",
    "archive: {url: 'postgresql://h:port/x'}": "archive.url is 'postgresql://h:port/x'; allowed: sqlite",
    "llm: {models: [{name: a}, {nam: b}]}": "llm.models.1.name is missing; allowed: a word",
    "llm: {models: [{name: a, timeout: x}]}": "llm.models.0.timeout is 'x'; allowed: a time",
    "llm: {models: [{name: a, price: {prompt: x}}]}": "llm.models.0.price.prompt is 'x'; allowed: a price",
    "access: {per_user: lots}": "access.per_user is 'lots'; allowed: a rate like 20/minute",
    "web: {playground: perhaps}": "web.playground is 'perhaps'; allowed: auto, true or false",
    "personas: {a: 5}": "personas.a is 5; allowed: names, each with a text",
    "persona: nobody": "persona is 'nobody'; allowed: default",
    "discord: {shard_ids: [0]}": "discord.shard_count is empty; allowed",
    "discord: {shard_ids: [2], shard_count: 2}": "discord.shard_ids has 2; allowed: numbers below",
    "llm: {models: [{name: a, base_url: 'http://h'}], model: b}": "llm.model is 'b'; allowed: auto, offline",
    "llm: {fallback: [b]}": "llm.fallback has 'b'; allowed: nothing while llm.models is empty",
    "llm: {models: [{name: a}]}": "OPENAI_API_KEY is not set in the environment, and the model a needs it",
    "llm: {api_key_env: MY_KEY}": "llm.api_key_env names MY_KEY, which is not set",
    "http: {host: 0.0.0.0}": "web.token is empty; with http.host 0.0.0.0",
    "_env_file: x": "_env_file is no setting",
    "- 1": "must hold sections",
}


@pytest.mark.parametrize("text", WRONG)
def test_a_wrong_value_is_told_in_one_line_with_key_value_and_what_is_allowed(
    text: str, folder: Path
) -> None:
    write(folder, text)
    said = complaint()
    assert WRONG[text] in said
    assert "sesame" not in said


def test_one_thing_wrong_is_one_line(folder: Path) -> None:
    write(folder, "http: {port: 99999}")
    assert len(complaint().splitlines()) == 1


def test_several_things_wrong_are_a_line_each(folder: Path) -> None:
    write(folder, "http: {port: 99999}\nslack: {mode: x, streaming: y}")
    assert len(complaint().splitlines()) == 3


def test_a_wrong_value_out_of_a_variable_names_the_variable(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THREADFLY__HTTP__PORT", "x")
    assert complaint().startswith("http.port (from THREADFLY__HTTP__PORT) is 'x'; allowed: a port")


@pytest.mark.parametrize("name", ["THREADFLY__HTTP__PROT", "THREADFLY__PORT"])
def test_a_variable_that_sets_nothing_is_told(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "1")
    assert complaint().startswith(f"{name} sets nothing: ")
    assert complaint().endswith("did you mean http.port?")


def test_such_a_variable_in_dotenv_is_told_too(folder: Path) -> None:
    write(folder, "THREADFLY__HTTP__PROT=1", ".env")
    assert "THREADFLY__HTTP__PROT sets nothing" in complaint()


@pytest.mark.parametrize("line", ['OPENAI_API_KEY="sk-sesame', "OPENAI_API_KEY sk-sesame"])
def test_a_line_of_dotenv_that_sets_nothing_is_told_and_not_repeated(folder: Path, line: str) -> None:
    write(folder, f"# mine\nOPENAI_BASE_URL=http://h/v1\n{line}\n", ".env")
    said = complaint()
    assert said.startswith(".env, line 3: ")
    assert "sesame" not in said


def test_a_section_in_a_variable_that_is_no_json_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THREADFLY__HTTP", "{port")
    assert "http" in complaint()
    assert "JSON" in complaint()


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("http: {port: [}", "line 1, column 15"),
        ("http:\n  port: 1\n port: 2", "line 3, column 2"),
        ("http:\n\tport: 1", "line 2, column 1"),
        ("http: {port: 1}\nhttp: {port: 2}", "line 2, column 1: `http` is there twice"),
    ],
)
def test_what_is_no_yaml_is_told_with_line_and_column(text: str, where: str, folder: Path) -> None:
    write(folder, text)
    assert where in complaint()
    assert len(complaint().splitlines()) == 1


def test_a_named_file_that_is_not_there_is_told(folder: Path) -> None:
    assert complaint(folder / "no.yaml") == f"{folder / 'no.yaml'} can't be read: No such file or directory"


def test_a_file_that_is_no_text_is_told(folder: Path) -> None:
    (folder / "config.yaml").write_bytes(b"http: \xff")
    assert "not UTF-8" in complaint()


@pytest.mark.parametrize(
    "text",
    [
        "slack: {bot_token: sesame-sesame}",
        "slack_bot_token: sesame-sesame",
        "web: {token: sesame-sesame}",
        "llm: {models: [{name: a, api_key: sesame-sesame}]}",
        "llm: {api_key_env: sk-sesame-sesame}",
        "personas: {default: 'Use xoxb-1234-sesame for all'}",
        "discord: {api_url: MTE0sesame0123456789012.Gsesam.sesame0123456789012345678901}",
    ],
)
def test_a_secret_in_the_file_stops_the_start_and_is_not_repeated(text: str, folder: Path) -> None:
    write(folder, text)
    assert "holds a secret" in complaint()
    assert "sesame" not in complaint()


class TestPlatforms:
    """Which are on."""

    def test_with_no_credentials_the_playground_is_on(self, folder: Path) -> None:
        settings = load_settings()
        assert (settings.slack_on, settings.discord_on, settings.playground_on) == (False, False, True)

    def test_with_two_tokens_slack_is_on_and_the_playground_off(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SLACK_BOT_TOKEN", BOT)
        write(folder, f"SLACK_APP_TOKEN={APP}", ".env")
        settings = load_settings()
        assert (settings.slack_on, settings.discord_on, settings.playground_on) == (True, False, False)

    def test_the_playground_may_be_wanted_beside_others(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DISCORD_TOKEN", "token")
        monkeypatch.setenv("THREADFLY__WEB__PLAYGROUND", "true")
        settings = load_settings()
        assert (settings.discord_on, settings.playground_on) == (True, True)

    def test_over_http_slack_needs_the_signing_secret(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("THREADFLY__SLACK__MODE", "http")
        monkeypatch.setenv("SLACK_BOT_TOKEN", BOT)
        assert "Slack needs SLACK_SIGNING_SECRET too" in complaint()
        monkeypatch.setenv("SLACK_SIGNING_SECRET", SIGNING)
        assert load_settings().slack_on

    def test_many_workspaces_need_the_client_and_a_key_for_their_tokens(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("THREADFLY__SLACK__MODE", "http")
        monkeypatch.setenv("SLACK_SIGNING_SECRET", SIGNING)
        monkeypatch.setenv("SLACK_CLIENT_ID", "1.2")
        assert "needs SLACK_CLIENT_SECRET and THREADFLY_ENCRYPTION_KEY too" in complaint()
        monkeypatch.setenv("SLACK_CLIENT_SECRET", SIGNING)
        monkeypatch.setenv("THREADFLY_ENCRYPTION_KEY", "k" * 44)
        assert load_settings().slack_on

    def test_half_of_slacks_tokens_stop_the_start(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SLACK_BOT_TOKEN", BOT)
        assert complaint() == (
            "SLACK_BOT_TOKEN is set, but with slack.mode socket Slack needs SLACK_APP_TOKEN too; "
            "set what is missing, or unset the rest"
        )

    def test_the_doctors_token_switches_nothing_on_and_stops_no_start(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SLACK_CONFIG_TOKEN", "xoxe.xoxp-1-sesame")
        settings = load_settings()
        assert (settings.slack_on, settings.playground_on) == (False, True)
        assert "xoxe.xoxp-1-sesame" in settings.secrets()

    def test_swapped_tokens_stop_the_start(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SLACK_BOT_TOKEN", APP)
        monkeypatch.setenv("SLACK_APP_TOKEN", BOT)
        assert "SLACK_BOT_TOKEN holds a token of the other kind" in complaint()
        assert "0123456789" not in complaint()

    def test_on_another_address_the_playground_wants_a_token(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("THREADFLY__HTTP__HOST", "0.0.0.0")
        assert "set THREADFLY__WEB__TOKEN in the environment" in complaint()
        monkeypatch.setenv("THREADFLY__WEB__TOKEN", "open sesame")
        assert load_settings().web.token.get_secret_value() == "open sesame"


class TestModels:
    """Which answer."""

    def test_with_nothing_to_reach_one_there_is_none(self, folder: Path) -> None:
        assert load_settings().models == ()

    def test_a_key_alone_means_openai(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-sesame")
        settings = load_settings()
        (entry,) = settings.models
        assert (entry.model, entry.base_url) == ("gpt-5-mini", "https://api.openai.com/v1")
        key = settings.key_of(entry)
        assert key is not None
        assert key.get_secret_value() == "sk-sesame"

    def test_offline_can_be_wanted_in_spite_of_a_key(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-sesame")
        monkeypatch.setenv("THREADFLY__LLM__MODEL", "offline")
        assert load_settings().models == ()

    def test_an_address_needs_no_key(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:11434/v1")
        write(folder, "llm: {model: llama}")
        settings = load_settings()
        (entry,) = settings.models
        assert (entry.name, entry.model, entry.base_url) == ("llama", "llama", "http://127.0.0.1:11434/v1")
        assert settings.key_of(entry) is None

    @pytest.mark.parametrize("wrong", ["127.0.0.1:11434/v1", "sk-sesame", "http://", "ftp://h/v1"])
    def test_an_address_that_is_none_stops_the_start_and_is_not_repeated(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, wrong: str
    ) -> None:
        monkeypatch.setenv("OPENAI_BASE_URL", wrong)
        said = complaint()
        assert said.startswith("OPENAI_BASE_URL is no address; allowed: ")
        assert wrong not in said or wrong == "http://"
        write(folder, "llm: {base_url: 'http://127.0.0.1:11434/v1'}")
        assert load_settings().models[0].base_url == "http://127.0.0.1:11434/v1"

    def test_a_server_of_its_own_never_gets_another_ones_key(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-sesame")
        write(
            folder, "llm: {model: b, models: [{name: a}, {name: b, base_url: 'http://h/v1'}], fallback: [a]}"
        )
        settings = load_settings()
        own, openai = settings.models
        assert (own.name, openai.name) == ("b", "a")
        assert settings.key_of(own) is None
        assert settings.key_of(openai) is not None


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("sqlite:////var/t.db", "sqlite+aiosqlite:////var/t.db"),
        ("sqlite+aiosqlite:///t.db", "sqlite+aiosqlite:///t.db"),
        ("postgresql://h/d?host=/s", "postgresql+asyncpg://h/d?host=/s"),
        ("postgres://h/d", "postgresql+asyncpg://h/d"),
        ("postgresql+psycopg://h/d", "postgresql+asyncpg://h/d"),
        ("postgresql+asyncpg://h/d", "postgresql+asyncpg://h/d"),
    ],
)
def test_the_archives_address_names_the_driver(url: str, driver: str, folder: Path) -> None:
    write(folder, f"archive: {{url: '{url}'}}")
    assert load_settings().archive_url == driver


def test_the_archive_is_a_file_in_the_data_folder(folder: Path) -> None:
    assert load_settings().archive_url == f"sqlite+aiosqlite:///{folder}/data/threadfly.db"


def test_no_secret_is_in_what_settings_print(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISCORD_TOKEN", "OPENAI_API_KEY", "SLACK_CONFIG_TOKEN", "THREADFLY__WEB__TOKEN"):
        monkeypatch.setenv(name, "open-sesame")
    monkeypatch.setenv("THREADFLY__HOT__URL", "redis://u:sesame@h")
    monkeypatch.setenv("THREADFLY__ARCHIVE__URL", "postgresql://u:sesame@h/d")
    settings = load_settings()
    assert "sesame" not in f"{settings!r} {settings} {settings.credentials!r}"


def test_messages_are_kept_for_ever_unless_a_time_is_set(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load_settings().archive.retention.default == "auto"
    write(folder, "archive: {retention: {default: 90d, places: {'slack:T1': 1d, 'slack:T1:C1': forever}}}")
    retention = load_settings().archive.retention
    assert (retention.default, retention.places) == (7_776_000, {"slack:T1": 86_400, "slack:T1:C1": None})
    monkeypatch.setenv("THREADFLY__ARCHIVE__RETENTION__PLACES", '{"discord:1": "2d"}')
    assert load_settings().archive.retention.places == {"discord:1": 172_800}


@pytest.mark.parametrize(
    "wrong", ["{default: soon}", "{default: 5m}", "{places: {nowhere: 90d}}", "{places: {'slack:T1': never}}"]
)
def test_a_time_to_keep_that_is_none_is_complained_about(folder: Path, wrong: str) -> None:
    write(folder, f"archive: {{retention: {wrong}}}")
    assert "archive.retention" in complaint()


NO_TEXT = b"ab\xff\xfe".decode("utf-8", "surrogateescape")
"""As Python hands on a variable whose bytes are no UTF-8."""


@pytest.mark.parametrize(
    "name",
    [
        "THREADFLY__WEB__TOKEN",
        "THREADFLY__DATA_DIR",
        "THREADFLY__HOT__URL",
        "THREADFLY_CONFIG",
        "THREADFLY_ENCRYPTION_KEY",
        "SLACK_BOT_TOKEN",
        "DISCORD_TOKEN",
        "OPENAI_API_KEY",
        "OPENAI_BASE_URL",
    ],
)
def test_a_variable_that_is_no_text_is_told_without_its_value(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, NO_TEXT)
    assert complaint() == f"{name} is not UTF-8 text in the environment"


def test_the_key_of_a_model_that_is_no_text_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder, "llm: {api_key_env: MY_KEY, base_url: 'http://h/v1'}")
    monkeypatch.setenv("MY_KEY", NO_TEXT)
    assert complaint() == "MY_KEY is not UTF-8 text in the environment"


def test_what_is_no_text_and_none_of_ours_is_nobodys_business(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LS_COLORS", NO_TEXT)
    assert load_settings() == Settings()
