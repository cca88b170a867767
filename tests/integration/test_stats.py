"""What `threadfly stats` counts, on every database, and how it looks."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from bot.domain import Addressed, Answer, Author, Message, Outcome, Part, Said, SessionKey, Turn, Usage
from bot.stats import Spent, show
from storage.archive.claims import Claimant
from storage.archive.records import Records
from storage.archive.stats import read_stats
from storage.archive.turns import Turns
from storage.database import Database

ANN = Author("U1", "Ann")
SLACK, WEB = SessionKey("slack", "T1", "C1", "1"), SessionKey("web", "playground", "general", "1")
PRICES = {"small": (1.0, 2.0)}


class Asking:
    """Asks, and answers."""

    def __init__(self, database: Database) -> None:
        claimant = Claimant("me", 60.0)
        self.records, self.turns = Records(database, claimant), Turns(database, claimant)

    async def ask(self, key: SessionKey, position: int) -> Turn:
        """A question, and its turn."""
        message = Message(position, ANN, "What is up?", datetime.now(UTC))
        recorded = await self.records.record(Said(key, message, Addressed.MENTION))
        assert recorded.turn is not None
        return recorded.turn

    async def answer(self, key: SessionKey, position: int, outcome: Outcome = Outcome.DONE) -> None:
        """A question that is answered."""
        turn = await self.ask(key, position)
        usage = Usage(
            model="small", prompt_tokens=1_000_000, completion_tokens=500_000, total_tokens=1_500_000
        )
        answer = Answer("Not much.", outcome, usage=usage if outcome is Outcome.DONE else Usage())
        await self.turns.close(turn, answer, [Part(1, position + 1, 9)], datetime.now(UTC))


async def test_an_archive_is_counted_by_workspace(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    asking = Asking(database)
    await asking.answer(SLACK, 10)
    await asking.answer(SLACK, 20, Outcome.STOPPED)
    await asking.answer(replace(SLACK, workspace="T2"), 10, Outcome.FAILED)
    await asking.answer(WEB, 10)
    await asking.ask(WEB, 20)
    await asking.turns.judge(SLACK, 10, ANN, good=True)
    await asking.turns.judge(SLACK, 10, Author("U2", "Joe"), good=False)

    stats = await read_stats(database)

    slack, other, web = stats.traffic
    assert (slack.platform, slack.workspace, slack.sessions, slack.messages) == ("slack", "T1", 1, 4)
    assert (slack.done, slack.stopped, slack.failed, slack.waiting) == (1, 1, 0, 0)
    assert (slack.good, slack.bad) == (1, 1)
    assert (other.workspace, other.failed, other.done) == ("T2", 1, 0)
    assert (web.messages, web.done, web.waiting) == (3, 1, 1)
    assert stats.spent == [
        Spent("slack", "T1", "small", answers=1, prompt_tokens=1_000_000, completion_tokens=500_000),
        Spent("web", "playground", "small", answers=1, prompt_tokens=1_000_000, completion_tokens=500_000),
    ]

    show(stats, PRICES, 120)
    shown = capsys.readouterr().out
    assert "T1" in shown
    assert "2.0000" in shown
    total = next(line for line in shown.splitlines() if " all " in line)
    assert [cell.strip() for cell in total.split("│")[3:-1]] == ["3", "9", "2", "1", "1", "1", "1", "1"]


async def test_an_empty_archive_says_so(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    show(await read_stats(database), PRICES, 120)
    assert "nothing in the archive" in capsys.readouterr().out


def test_what_has_no_price_costs_nothing_known() -> None:
    spent = Spent("slack", "T1", "free", answers=1, prompt_tokens=10, completion_tokens=10)
    assert spent.cost(PRICES) is None
    assert replace(spent, model="small").cost(PRICES) == pytest.approx(0.00003)
