"""Pure: what is said when something found is shown to everybody, or gone on with."""

from collections.abc import Sequence
from typing import NamedTuple


class Piece(NamedTuple):
    """Some words of a sentence, literally: nothing in them is markup or a mention."""

    text: str
    link: str = ""
    """Where they lead; "" for nowhere."""


Sentence = Sequence[Piece]


def plainly(text: str) -> Sentence:
    """A sentence without links."""
    return (Piece(text),)


def as_text(sentence: Sentence) -> str:
    """A sentence without its links."""
    return "".join(piece.text for piece in sentence)


NOT_HERE = plainly("I can't do that on this platform yet.")
NOT_TO_ALL = plainly(
    "That can't be done here: it is not there any more, or not everybody who reads along here may open it. "
    "In a direct message with me you can look up, and go on with, whatever you may read."
)
"""The same, whatever is hidden."""
NOBODY_ELSE = plainly("Only you read along here. Ask in a channel or a thread to show something to others.")
CANT_POST = plainly(
    "I have no right to write there. Somebody who looks after that place can change that, or add me to it."
)
SHOWN = plainly("Everybody here can see it now.")
UNDER_WAY = plainly("I am on it.")
TOO_SLOW = "That took too long, so I gave up on it. Please try again in a minute."
SHOW, LEAVE, GO_ON = "Show in channel", "Leave it", "Continue here"
"""Labels of buttons."""
SHOW_IT = "Show it to everybody"


def asks_to_show(here: str, by: str) -> str:
    """Asks before something is shown. `here`: what the place is called, "" where no name is known."""
    readers = f"Everybody who reads along in {here}" if here else "Everybody who reads along here"
    return (
        f"Show this? {readers} will see this message, who said it and when, a link to it, "
        f"and that {by} asked for it. Nobody is pinged."
    )


def shown_by(by: str) -> str:
    """Below what is shown to everybody."""
    return f"{by} had this shown with recall"


def goes_on_from(by: str, where: str, messages: int, link: str) -> Sentence:
    """The first post of what goes on from another conversation."""
    size = "1 message" if messages == 1 else f"{messages:,} messages"
    return (
        Piece(f"{by} goes on here with "),
        Piece("an earlier conversation", link),
        Piece(f" from {where} ({size}). I know what was said there until now: just go on."),
    )


def went_on(by: str, link: str) -> Sentence:
    """A word in the old conversation about the new one."""
    return (Piece(f"{by} went on with this conversation "), Piece("over there", link), Piece("."))


def goes_on_at(link: str) -> Sentence:
    """Where it goes on, for who wanted that."""
    return (Piece("It goes on "), Piece("over there", link), Piece(", with what was said until now."))


def thread_name(where: str) -> str:
    """What the new thread is called, where threads have names."""
    return f"Going on from {where}"
