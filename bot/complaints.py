"""What is wrong with the settings, in sentences: the key, what was found, what is allowed. No I/O."""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from bot.redaction import without_password

_MOST_SHOWN = 60
_INTERNAL = re.compile(r"[^a-z0-9_]", re.IGNORECASE)


def sentences(
    error: ValidationError, root: type[BaseModel], variables: Iterable[str], prefix: str
) -> list[str]:
    """One sentence for each wrong key; `variables` are the names that were set in the environment."""
    by_key = {_dotted(name[len(prefix) :].lower().split("__")): name for name in variables}
    told: dict[str, str] = {}
    for details in error.errors(include_url=False, include_context=False):
        path, field = _follow(root, details["loc"])
        key = _dotted(path)
        told.setdefault(key, _sentence(key, field, details, root, by_key.get(key)))
    return list(told.values())


def unknown_variables(names: Iterable[str], root: type[BaseModel], prefix: str) -> Iterator[str]:
    """A sentence for each variable with our prefix that sets nothing."""
    for name in sorted(names):
        words = name[len(prefix) :].lower().split("__")
        path, field = _follow(root, words)
        if field is None or len(path) < len(words):
            yield f"{name} sets nothing: {_no_such_key(_dotted(words), root)}"


def unknown_sections(names: Iterable[str], root: type[BaseModel]) -> Iterator[str]:
    """A sentence for each key at the top of the file that is none of ours."""
    yield from (_no_such_key(name, root) for name in names if name not in root.model_fields)


def no_texts(environment: Mapping[str, str], names: Iterable[str]) -> Iterator[str]:
    """A sentence for each variable out of `names` whose bytes are no UTF-8, without the value.

    Python hands such bytes on as halves of surrogate pairs, at which whoever writes them out fails.
    """
    for name in sorted(names):
        try:
            environment.get(name, "").encode()
        except UnicodeEncodeError:
            yield f"{name} is not UTF-8 text in the environment"


def _sentence(
    key: str, field: FieldInfo | None, details: ErrorDetails, root: type[BaseModel], name: str | None
) -> str:
    if details["type"] == "extra_forbidden":
        return _no_such_key(key, root)
    where = f"{key} (from {name})" if name else key
    allowed = (field.description if field else None) or "a section with keys of its own"
    if details["type"] == "missing":
        return f"{where} is missing; allowed: {allowed}"
    return f"{where} is {_found(field, details['input'])}; allowed: {allowed}"


def _found(field: FieldInfo | None, value: object) -> str:
    if value is None or value == "":
        return "empty"
    if field is not None and "Secret" in str(field.annotation):
        return "not usable"
    shown = repr(without_password(value)) if isinstance(value, str) else repr(value)
    return shown if len(shown) <= _MOST_SHOWN else shown[: _MOST_SHOWN - 1] + "…"


def _no_such_key(key: str, root: type[BaseModel]) -> str:
    section, _, _ = key.rpartition(".")
    known = list(_keys(root))
    near = difflib.get_close_matches(key, known, 1, 0.75)
    near = near or [other for other in known if other.rsplit(".", 1)[-1] == key.rsplit(".", 1)[-1]]
    if near:
        return f"{key} is no setting; did you mean {near[0]}?"
    beside = [other for other in known if other.rpartition(".")[0] == section] or _sections(root)
    return f"{key} is no setting; allowed: {', '.join(beside)}"


def _sections(root: type[BaseModel]) -> list[str]:
    return list(root.model_fields)


def _keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield prefix + name
        if inner := _model_of(field):
            yield from _keys(inner, f"{prefix}{name}.")


def _follow(root: type[BaseModel], loc: Iterable[int | str]) -> tuple[list[str], FieldInfo | None]:
    """The part of `loc` that a reader knows, and the field it ends at; None where there is no such key."""
    path: list[str] = []
    model: type[BaseModel] | None = root
    field: FieldInfo | None = None
    for step in loc:
        if isinstance(step, int) or (step.isdigit() and field is not None and _listed_model(field)):
            path.append(str(step))
            model = _listed_model(field) if field else None
        elif model is not None:
            path.append(step)
            field = model.model_fields.get(step)
            model = _model_of(field) if field else None
            if field is None:
                break
        elif field is not None and _is_mapping(field) and not _INTERNAL.search(step):
            path.append(step)
    return path, field


def _model_of(field: FieldInfo) -> type[BaseModel] | None:
    kind: Any = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _listed_model(field: FieldInfo) -> type[BaseModel] | None:
    inner = getattr(field.annotation, "__args__", ())
    return next((kind for kind in inner if isinstance(kind, type) and issubclass(kind, BaseModel)), None)


def _is_mapping(field: FieldInfo) -> bool:
    return getattr(field.annotation, "__origin__", None) is dict


def _dotted(path: Iterable[int | str]) -> str:
    return ".".join(str(step) for step in path)
