"""What people say to the bot is a command only where it can be nothing else."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot import words
from bot.commands import (
    Command,
    Export,
    Form,
    Offer,
    Verb,
    change,
    exported,
    heard,
    lookup,
    parse,
    recalled,
    taken_out,
)
from bot.domain import Addressed, Attachment, Author, Change, Message, Said, SessionKey, ThreadSettings

OFFER = Offer(models=("small", "GPT-Large"), personas=("default", "pirate"))
KEY = SessionKey("web", "w", "c", "1")
FILE = Attachment("a.txt", "text/plain", 1, "http://f")


def said(text: str, addressed: Addressed = Addressed.MENTION, *files: Attachment) -> Said:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return Said(KEY, Message(1, Author("U1", "Ann"), text, at, files), addressed)


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("help", Command(Verb.HELP)),
        ("", Command(Verb.HELP)),
        ("  \n", Command(Verb.HELP)),
        ("...", Command(Verb.HELP)),
        ("New!", Command(Verb.NEW)),
        ("/stop", Command(Verb.STOP)),
        ("PAUSE.", Command(Verb.PAUSE)),
        ("resume", Command(Verb.RESUME)),
        ("model", Command(Verb.MODEL)),
        ("model GPT-Large", Command(Verb.MODEL, "GPT-Large")),
        ("persona pirate.", Command(Verb.PERSONA, "pirate")),
    ],
)
def test_a_command_is_known_however_it_is_written(text: str, command: Command) -> None:
    assert parse(text) == command


@pytest.mark.parametrize(
    "text",
    [
        "new ideas, please",
        "help me",
        "stop the music",
        "help?",
        "What is new",
        "model of a ship please",
        "newer",
        "?",
        "pause resume",
    ],
)
def test_a_question_that_begins_like_a_command_is_a_question(text: str) -> None:
    assert parse(text) is None


@given(st.text())
def test_whatever_is_said_is_a_command_or_a_question(text: str) -> None:
    command = parse(text)
    change(command, OFFER)
    if command is not None:
        assert parse(command.words) == command, "as kept in the archive, it is the same one"


@pytest.mark.parametrize("addressed", [Addressed.THREAD, Addressed.ASIDE])
def test_people_may_say_new_to_each_other_and_only_stop_is_for_the_bot(addressed: Addressed) -> None:
    assert heard(said("new", addressed)) is None
    assert heard(said("", addressed)) is None
    assert heard(said("stop", addressed)) == Command(Verb.STOP)


def test_a_file_without_words_is_a_question_and_one_with_a_command_is_none() -> None:
    assert heard(said("", Addressed.MENTION, FILE)) is None
    assert heard(said("", Addressed.MENTION)) == Command(Verb.HELP)
    assert heard(said("help", Addressed.DIRECT, FILE)) == Command(Verb.HELP)


@pytest.mark.parametrize(
    ("words", "rest"),
    [
        ("recall", ""),
        ("Recall  the plan", "the plan"),
        ("/recall x", "x"),
        ("recalled", None),
        ("", None),
        ("please recall", None),
    ],
)
def test_a_question_to_the_archive_begins_with_one_word(words: str, rest: str | None) -> None:
    assert recalled(words) == rest


def test_only_the_bot_itself_is_asked_to_recall() -> None:
    assert lookup(said("recall the plan")) == "the plan"
    assert lookup(said("recall the plan", Addressed.THREAD)) is None
    assert lookup(said("recall this", Addressed.MENTION, FILE)) is None


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("new", Change(fresh=True)),
        ("stop", Change(stop=True)),
        ("pause", Change(paused=True)),
        ("resume", Change(paused=False)),
        ("model gpt-large", Change(model="GPT-Large")),
        ("model nonsense", Change()),
        ("model", Change()),
        ("persona PIRATE", Change(persona="pirate")),
        ("persona small", Change()),
        ("help", Change()),
        ("Why?", Change()),
    ],
)
def test_what_a_command_changes(text: str, changed: Change) -> None:
    assert change(parse(text), OFFER) == changed


@pytest.mark.parametrize("text", ["help", "new", "pause", "resume", "stop", "model", "model x", "persona"])
def test_every_command_has_an_answer(text: str) -> None:
    command = parse(text)
    assert command is not None
    assert words.after(command, OFFER, ThreadSettings()).strip()


@pytest.mark.parametrize(
    ("text", "export"),
    [
        ("export", Export()),
        ("Export!", Export()),
        ("/export md", Export(Form.MARKDOWN)),
        ("export as HTML.", Export(Form.HTML)),
        ("export json", Export(Form.JSON)),
        (
            "export <https://a.slack.com/archives/C1/p1|there> html",
            Export(Form.HTML, "https://a.slack.com/archives/C1/p1"),
        ),
        ("export #/general/12", Export(link="#/general/12")),
    ],
)
def test_an_export_names_a_form_and_a_thread_or_neither(text: str, export: Export) -> None:
    assert exported(text) == export
    assert taken_out(said(text)) == taken_out(said(text, Addressed.DIRECT)) == export


@pytest.mark.parametrize("text", ["", "exports", "export our data to a table", "export pdf", "please export"])
def test_what_only_speaks_of_exports_is_a_question(text: str) -> None:
    assert exported(text) is None


def test_an_export_is_asked_of_the_bot_itself() -> None:
    assert taken_out(said("export", Addressed.THREAD)) is None
    assert taken_out(said("export", Addressed.MENTION, FILE)) is None
