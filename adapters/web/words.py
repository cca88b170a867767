"""What a person's text says to whom. Pure."""

import re
from collections.abc import Collection

from adapters.web.cast import Cast

_CODE = r"(?P<code>```.*?(?:```|\Z)|`[^`\n]+`)"
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_MARKUP = re.compile(r"[!-/:-@\[-`{-~]")
"""ASCII punctuation, which Markdown lets be escaped."""
_LINE_END = re.compile("\r\n?")
_COMMAND = re.compile(r"/([a-z]+)(?:\s+(.*))?\Z", re.DOTALL | re.IGNORECASE)


def clean(text: str) -> str:
    """`text` with what no store takes (NUL, halves of surrogate pairs) shown as U+FFFD."""
    return _LINE_END.sub("\n", _UNSTORABLE.sub("\ufffd", text)).strip()


def mentioned(text: str, cast: Cast) -> frozenset[str]:
    """Ids of those whom `text` names with an @, outside of code."""
    names = {person.name.lower(): person.id for person in (*cast.people.values(), cast.bot)}
    return frozenset(names[found.lower()] for found in _found(text, names))


def names_bot(text: str, cast: Cast) -> bool:
    return cast.bot.id in mentioned(text, cast)


def without_bot(text: str, cast: Cast) -> str:
    """`text` without the mentions of the bot."""

    def replaced(match: re.Match[str]) -> str:
        return match["code"] or ""

    pattern = _mention((cast.bot.name,), around=r"[ \t]*[,:]?[ \t]*")
    bare = pattern.sub(lambda m: replaced(m) or (" " if _inside(m) else ""), text)
    return bare.strip()


def command(text: str) -> tuple[str, str] | None:
    """The word and the rest of `/word rest`; None for what is no command (`/etc/hosts`)."""
    match = _COMMAND.match(text)
    return None if match is None else (match[1].lower(), (match[2] or "").strip())


def literal(text: str) -> str:
    """`text` as Markdown that reads so: on one line, and nothing in it is markup."""
    return _MARKUP.sub(r"\\\g<0>", " ".join(text.split()))


def _found(text: str, names: Collection[str]) -> list[str]:
    return [match["name"] for match in _mention(names).finditer(text) if match["name"]]


def _mention(names: Collection[str], around: str = "") -> re.Pattern[str]:
    either = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    lead = r"[ \t]*" if around else ""
    return re.compile(
        rf"{_CODE}|{lead}(?<![\w@./])@(?P<name>{either})(?![\w-]|\.\w){around}", re.DOTALL | re.IGNORECASE
    )


def _inside(match: re.Match[str]) -> bool:
    """Whether words stand on both sides of the mention, on its line."""
    before, after = match.string[: match.start()], match.string[match.end() :]
    return bool(before) and not before.endswith("\n") and bool(after) and not after.startswith("\n")
