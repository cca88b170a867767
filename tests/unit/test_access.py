"""Who may use the bot, and how much."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from bot.access import Access, Lists
from bot.domain import Addressed, Author, Message, Said, SessionKey
from bot.gate import Gate
from bot.words import NOT_FOR_YOU

KEY = SessionKey("slack", "T1", "C1", "1")
SAID = Said(
    KEY, Message(1, Author("U1", "Ann"), "hello", datetime(2026, 1, 1, tzinfo=UTC)), Addressed.MENTION
)


def only(*ids: str) -> Lists:
    return Lists(allow=frozenset(ids))


def never(*ids: str) -> Lists:
    return Lists(deny=frozenset(ids))


class Patience:
    """A limiter that wants so much patience, and counts who asked."""

    def __init__(self, wait_s: float = 0.0) -> None:
        self._wait_s = wait_s
        self.asked = 0

    async def wait_s(self, platform: str, workspace: str, user: str) -> float:
        self.asked += 1
        return self._wait_s


def test_without_lists_everyone_may_everywhere() -> None:
    assert Access().place(SAID)
    assert Access().person(SAID)


def test_deny_wins_over_allow() -> None:
    assert not Lists(frozenset({"a"}), frozenset({"a"})).admit(["a"])


@pytest.mark.parametrize(
    ("access", "allowed"),
    [
        (Access(workspaces=only("T1")), True),
        (Access(workspaces=only("T2")), False),
        (Access(workspaces=never("T1")), False),
        (Access(channels=only("C1")), True),
        (Access(channels=never("C1")), False),
        (Access(categories=only("K1")), True),
        (Access(categories=only("K2")), False),
    ],
)
def test_a_place_is_judged_by_workspace_channel_and_category(access: Access, allowed: bool) -> None:
    assert access.place(replace(SAID, groups=frozenset({"K1", "R1"}))) is allowed


@pytest.mark.parametrize(
    ("access", "allowed"),
    [
        (Access(users=only("U1")), True),
        (Access(users=never("U1")), False),
        (Access(roles=only("R1")), True),
        (Access(roles=never("R1")), False),
        (Access(users=never("U1"), admins=frozenset({"U1"})), True),
    ],
)
def test_a_person_is_judged_by_id_and_roles(access: Access, allowed: bool) -> None:
    assert access.person(replace(SAID, groups=frozenset({"R1"}))) is allowed


def test_direct_messages_can_be_switched_off_and_know_no_channels() -> None:
    direct = replace(SAID, addressed=Addressed.DIRECT)
    assert not Access(direct_messages=False).place(direct)
    assert Access(channels=only("C9")).place(direct)


async def test_where_the_bot_does_not_work_nothing_is_recorded() -> None:
    limiter = Patience()
    assert await Gate(Access(channels=never("C1")), limiter).admit(SAID) == (None, "")
    assert limiter.asked == 0


async def test_who_gets_no_answer_is_told_once_and_still_kept() -> None:
    gate = Gate(Access(users=never("U1")), Patience())
    said, refusal = await gate.admit(SAID)
    assert said is not None
    assert (said.addressed, refusal) == (Addressed.ASIDE, NOT_FOR_YOU)
    assert (await gate.admit(replace(SAID, addressed=Addressed.THREAD)))[1] == ""


async def test_who_asks_too_much_is_told_when_to_come_back() -> None:
    said, refusal = await Gate(Access(), Patience(39.2)).admit(SAID)
    assert said is not None
    assert not said.answer
    assert "40 seconds" in refusal


async def test_admins_and_asides_are_not_counted() -> None:
    limiter = Patience(5)
    gate = Gate(Access(admins=frozenset({"U1"})), limiter)
    assert await gate.admit(SAID) == (SAID, "")
    aside = replace(
        SAID, addressed=Addressed.ASIDE, message=replace(SAID.message, author=Author("U2", "Joe"))
    )
    assert await gate.admit(aside) == (aside, "")
    assert limiter.asked == 0
