"""Who may use the bot, and how much."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from bot.access import Access, Lists
from bot.domain import Addressed, Author, Edited, Message, Said, SessionKey
from bot.gate import TOLD_S, Gate

KEY = SessionKey("slack", "T1", "C1", "1")
ANN = Author("U1", "Ann")
HELLO = Message(1, ANN, "hello", datetime(2026, 1, 1, tzinfo=UTC))
SAID = Said(KEY, HELLO, Addressed.MENTION)


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


class Clock:
    """Seconds that pass when told."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def gate(access: Access | None = None) -> Gate:
    return Gate(access or Access(), Patience())


def test_without_lists_everyone_may_everywhere() -> None:
    assert gate().admit(SAID) == SAID
    assert gate().may(ANN, frozenset())


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
    said = replace(SAID, groups=frozenset({"K1", "R1"}))
    assert gate(access).admit(said) == (said if allowed else None)


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
def test_who_gets_no_answer_is_kept_as_an_aside_and_hears_of_it(access: Access, allowed: bool) -> None:
    said = replace(SAID, groups=frozenset({"R1"}))
    judge = gate(access)
    admitted = judge.admit(said)
    assert admitted is not None
    assert admitted.addressed is (Addressed.MENTION if allowed else Addressed.ASIDE)
    assert judge.refuses(said, admitted) is not allowed
    assert judge.may(ANN, frozenset({"R1"})) is allowed


def test_direct_messages_can_be_switched_off_and_know_no_channels_or_roles() -> None:
    direct = replace(SAID, addressed=Addressed.DIRECT)
    assert gate(Access(direct_messages=False)).admit(direct) is None
    assert gate(Access(channels=only("C9"), roles=only("R9"))).admit(direct) == direct


def test_buttons_are_judged_by_the_person_alone_where_roles_are_unknown() -> None:
    assert gate(Access(roles=only("R9"))).may(ANN)
    assert not gate(Access(users=never("U1"))).may(ANN)


def test_where_the_bot_does_not_work_no_edit_calls_it() -> None:
    edited = Edited(KEY, HELLO, Addressed.MENTION)
    assert gate().edited(edited) == edited
    assert gate(Access(channels=never("C1"))).edited(edited).addressed is Addressed.ASIDE


async def test_no_limit_holds_up_an_admin() -> None:
    limiter = Patience(39.0)
    judge = Gate(Access(admins=frozenset({"U1"})), limiter)
    assert await judge.wait_s(KEY, ANN) == 0
    assert await judge.wait_s(KEY, Author("U2", "Joe")) == 39.0
    assert limiter.asked == 1


def test_nobody_is_told_twice_within_a_minute() -> None:
    clock = Clock()
    judge = Gate(Access(), Patience(), clock)
    told = [judge.worth_telling(KEY, who) for who in (ANN, ANN, Author("U2", "Joe"))]
    clock.now = TOLD_S
    assert [*told, judge.worth_telling(KEY, ANN)] == [True, False, True, True]
