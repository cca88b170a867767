"""Reading `config.yaml`: a tree of plain values, or a sentence that says where it is wrong."""

import re
from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from bot.credentials import SECRET_VARIABLES
from bot.errors import SettingsError

_BOOLEAN = re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$")
_BOOLEAN_TAG = "tag:yaml.org,2002:bool"
_TOKENS = re.compile(
    r"\b(?:xox[a-z]-|xapp-|sk-)[\w-]{8,}"  # Slack, OpenAI
    r"|\b[\w-]{23,28}\.[\w-]{6}\.[\w-]{27,}\b"  # Discord
)
_SECRET_KEYS = frozenset(
    {
        "token",
        "bot_token",
        "app_token",
        "signing_secret",
        "client_secret",
        "api_key",
        "key",
        "secret",
        "password",
    }
)


class _Loader(yaml.SafeLoader):
    """YAML in which only `true` and `false` are booleans (so `off` is a word), and no key comes twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[object] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"`{key}` is there twice", problem_mark=key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _BOOLEAN_TAG]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_BOOLEAN_TAG, _BOOLEAN, list("tTfF"))


def read_config(path: Path) -> dict[str, Any]:
    """The file's tree; empty for an empty file. Raises `SettingsError`."""
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise SettingsError(f"{path} can't be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} is not UTF-8 text (byte {error.start})") from error
    try:
        tree = yaml.load(text, _Loader)  # noqa: S506  # a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise SettingsError(f"{path}, {where}{error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise SettingsError(f"{path} is no YAML: {' '.join(str(error).split())}") from None
    if tree is None:
        return {}
    if not isinstance(tree, dict) or not all(isinstance(key, str) for key in tree):
        raise SettingsError(
            f"{path} must hold sections, each a word with a colon; see the config.yaml of Threadfly"
        )
    if found := sorted(_secrets(tree)):
        raise SettingsError("\n".join(_away_with(path, key) for key in found))
    return tree


def _secrets(tree: Mapping[object, object], path: str = "") -> Iterator[str]:
    for key, value in tree.items():
        dotted = f"{path}{key}"
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, Mapping):
                yield from _secrets(item, f"{dotted}.")
            elif isinstance(item, str) and item and (_names_secret(str(key)) or _TOKENS.search(item)):
                yield dotted


def _names_secret(key: str) -> bool:
    return key.lower() in _SECRET_KEYS or key.upper() in SECRET_VARIABLES


def _away_with(path: Path, key: str) -> str:
    """The sentence about a secret in the file, which does not repeat it."""
    named = re.sub(r"\W", "_", key).upper()
    variable = named if named in SECRET_VARIABLES else key.rsplit(".", 1)[-1].upper()
    if variable not in SECRET_VARIABLES:
        variable = "THREADFLY__WEB__TOKEN" if key == "web.token" else "a variable"
    return (
        f"{path}: {key} holds a secret; those belong in the environment or .env alone (set {variable} there)"
    )
