"""What may be shown at a place to everybody there."""

from bot.domain import SessionKey
from bot.finding import Place, Readable
from bot.recall import open_to_all, shown_at

GENERAL, OPS = Place("web", "w", "general"), Place("web", "w", "ops")
SECRET, CLOSED = Place("web", "w", "secret"), Place("web", "w", "general", "9")
MINE = Place("web", "w", "dm-ann")
SHARED = {GENERAL: "#general", OPS: "#ops"}
PRIVATE = {SECRET: "#secret", CLOSED: "a private thread", MINE: "direct messages"}


def at(channel: str, thread: str = "1") -> SessionKey:
    return SessionKey("web", "w", channel, thread)


def test_in_a_public_place_everybody_may_be_shown_what_the_workspace_shares() -> None:
    assert set(open_to_all(Readable(SHARED, PRIVATE), at("general"))) == {GENERAL, OPS}


def test_in_a_private_place_also_what_was_said_right_there() -> None:
    assert set(open_to_all(Readable(SHARED, PRIVATE), at("secret"))) == {GENERAL, OPS, SECRET}
    assert set(open_to_all(Readable(SHARED, PRIVATE), at("general", "9"))) == {GENERAL, OPS, CLOSED}


def test_in_a_direct_message_nobody_else_reads_along() -> None:
    readable = Readable(SHARED, PRIVATE, direct=True, outsiders=True)
    assert open_to_all(readable, at("dm-ann")) == {**SHARED, **PRIVATE}


def test_where_people_of_elsewhere_are_only_what_was_said_right_there() -> None:
    readable = Readable(SHARED, PRIVATE, outsiders=True)
    assert set(open_to_all(readable, at("general"))) == {GENERAL}
    assert set(open_to_all(readable, at("secret"))) == {SECRET}
    assert set(shown_at(readable, at("general"))) == {GENERAL, OPS}
