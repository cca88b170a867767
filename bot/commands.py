"""Pure: the words after a mention or a slash command -> a command, and what it changes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from bot.domain import Addressed, Change, Said


class Verb(StrEnum):
    """The commands that every platform has."""

    HELP = "help"
    NEW = "new"
    MODEL = "model"
    PERSONA = "persona"
    STOP = "stop"
    PAUSE = "pause"
    RESUME = "resume"
    FORGET = "forget"


class Forget(StrEnum):
    """What may follow `forget`, besides nothing."""

    THREAD = "thread"
    ME = "me"
    ME_YES = "me yes"
    """Confirms the one before."""


@dataclass(frozen=True, slots=True)
class Command:
    """A verb and what may follow it: one word, or what `forget` takes."""

    verb: Verb
    name: str = ""

    @property
    def words(self) -> str:
        """As it can be parsed again."""
        return f"{self.verb} {self.name}".strip()


@dataclass(frozen=True, slots=True)
class Offer:
    """What `model` and `persona` can choose from; the first of each is the default."""

    models: Sequence[str]
    personas: Sequence[str]

    def of(self, verb: Verb) -> Sequence[str]:
        """The names that `verb` chooses from."""
        return self.models if verb is Verb.MODEL else self.personas

    def chosen(self, command: Command) -> str | None:
        """The name on offer that the command means, whatever its case; None if there is none."""
        wanted = command.name.casefold()
        return next((name for name in self.of(command.verb) if name.casefold() == wanted), None)


_CHOOSING = (Verb.MODEL, Verb.PERSONA)
RECALL = "recall"
"""Begins a question to the archive: any words may follow, and the answer is for the asker alone."""
CATCH_UP = "catch up"
EXPORT = "export"
"""Asks for a thread as a file, for the asker alone."""


class Form(StrEnum):
    """What a thread can be taken out as."""

    MARKDOWN = "markdown"
    HTML = "html"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Export:
    """A thread as a file: the one where it is asked, or the one that a link names."""

    form: Form = Form.MARKDOWN
    link: str = ""


_FORMS: dict[str, Form] = {"md": Form.MARKDOWN, **{form.value: form for form in Form}}


def parse(words: str) -> Command | None:
    """The command that `words` are, and nothing besides; else None, and they are a question.

    Nothing at all asks for help. `new` is a command; `new ideas, please` is a question.
    """
    parts = words.strip().rstrip(".!").removeprefix("/").split()
    if not parts:
        return Command(Verb.HELP)
    word = parts[0].lower()
    if word == Verb.FORGET:
        what = " ".join(parts[1:]).lower()
        return Command(Verb.FORGET, what) if what in ("", *Forget) else None
    if word not in tuple(Verb) or len(parts) > 2:
        return None
    verb = Verb(word)
    if verb in _CHOOSING:
        return Command(verb, *parts[1:])
    return Command(verb) if len(parts) == 1 else None


def heard(said: Said) -> Command | None:
    """The command that was said to the bot, if it was one.

    Without a mention only `stop` is: people say "new" and "help" to each other too. A file without
    words is a question about the file.
    """
    if not said.message.text.strip() and said.message.attachments:
        return None
    command = parse(said.message.text)
    outright = said.addressed in (Addressed.MENTION, Addressed.DIRECT)
    if outright or (command is not None and command.verb is Verb.STOP):
        return command
    return None


def recalled(words: str) -> str | None:
    """What follows the word `recall`, perhaps nothing; None if the words do not begin with it."""
    first, *rest = words.strip().removeprefix("/").split(maxsplit=1) or [""]
    return "".join(rest) if first.lower() == RECALL else None


def is_catch_up(words: str) -> bool:
    """Whether somebody asks what was said since they last spoke, and says nothing besides."""
    said = words.strip().rstrip(".!?").removeprefix("/").lower().replace("-", " ")
    return " ".join(said.split()) in {CATCH_UP, "catch me up", "catchup"}


def catches_up(said: Said) -> bool:
    """Whether that was asked of the bot itself."""
    outright = said.addressed in (Addressed.MENTION, Addressed.DIRECT)
    return outright and not said.message.attachments and is_catch_up(said.message.text)


def lookup(said: Said) -> str | None:
    """What to look up for who said this to the bot itself; None where nothing is to be."""
    outright = said.addressed in (Addressed.MENTION, Addressed.DIRECT)
    return recalled(said.message.text) if outright and not said.message.attachments else None


def exported(words: str) -> Export | None:
    """The export that `words` are: the word, perhaps a form and a link; None if they are anything else."""
    first, *rest = words.strip().rstrip(".!").removeprefix("/").split() or [""]
    if first.lower() != EXPORT:
        return None
    asked = Export()
    for word in rest:
        if (form := _FORMS.get(word.lower())) is not None:
            asked = replace(asked, form=form)
        elif _is_link(word) and not asked.link:
            asked = replace(asked, link=word.strip("<>").partition("|")[0])
        elif word.lower() != "as":
            return None
    return asked


def _is_link(word: str) -> bool:
    return "://" in word or word.startswith("#/")


def taken_out(said: Said) -> Export | None:
    """The export that was asked of the bot itself; None where none was."""
    outright = said.addressed in (Addressed.MENTION, Addressed.DIRECT)
    return exported(said.message.text) if outright and not said.message.attachments else None


def change(command: Command | None, offer: Offer) -> Change:
    """What the command does to its session; nothing if it chooses what is not on offer."""
    match command:
        case Command(Verb.NEW):
            return Change(fresh=True)
        case Command(Verb.STOP):
            return Change(stop=True)
        case Command(Verb.PAUSE):
            return Change(paused=True)
        case Command(Verb.RESUME):
            return Change(paused=False)
        case Command(Verb.MODEL):
            return Change(model=offer.chosen(command))
        case Command(Verb.PERSONA):
            return Change(persona=offer.chosen(command))
    return Change()
