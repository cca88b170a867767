"""`threadfly stats`: what the archive holds and what it cost, as tables on a terminal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

Prices = Mapping[str, tuple[float, float]]
"""Model to what a million prompt and completion tokens cost."""

TOKENS_OF_PRICE = 1_000_000
ALL = "all"
"""Stands in the place of a platform in the last line."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """What is archived of one workspace."""

    platform: str
    workspace: str
    sessions: int
    messages: int
    done: int
    stopped: int
    failed: int
    waiting: int
    """Turns that run, or wait for one that does."""
    good: int
    bad: int


@dataclass(frozen=True, slots=True)
class Spent:
    """What one model was asked, and gave, in one workspace."""

    platform: str
    workspace: str
    model: str
    """As the settings call it."""
    answers: int
    prompt_tokens: int
    completion_tokens: int

    def cost(self, prices: Prices) -> float | None:
        """In the currency of the settings; None where they tell no price."""
        prompt, completion = prices.get(self.model, (0.0, 0.0))
        if not prompt and not completion:
            return None
        return (self.prompt_tokens * prompt + self.completion_tokens * completion) / TOKENS_OF_PRICE


@dataclass(frozen=True, slots=True)
class Stats:
    """Both, by platform and workspace."""

    traffic: Sequence[Traffic]
    spent: Sequence[Spent]


def show(stats: Stats, prices: Prices, width: int | None) -> None:
    """Print it; `width` is None for the terminal's own."""
    from rich.console import Console

    console = Console(width=width)
    if not stats.traffic:
        console.print("There is nothing in the archive yet.")
        return
    console.print(_traffic_table(stats.traffic))
    if stats.spent:
        console.print(_spent_table(stats.spent, prices))


def _traffic_table(traffic: Sequence[Traffic]) -> "Table":
    counts = ("sessions", "messages", "answered", "stopped", "failed", "waiting", "👍", "👎")
    table = _table(("platform", "workspace"), counts)
    for row in [*traffic, _total(traffic)]:
        if row.platform == ALL:
            table.add_section()
        turns = (row.done, row.stopped, row.failed, row.waiting)
        numbers = (row.sessions, row.messages, *turns, row.good, row.bad)
        table.add_row(row.platform, row.workspace, *(f"{number:,}" for number in numbers))
    return table


def _spent_table(spent: Sequence[Spent], prices: Prices) -> "Table":
    counts = ("answers", "prompt tokens", "completion tokens", "cost")
    table = _table(("platform", "workspace", "model"), counts)
    for row in spent:
        numbers = (row.answers, row.prompt_tokens, row.completion_tokens)
        cost = row.cost(prices)
        money = "no price set" if cost is None else f"{cost:,.4f}"
        table.add_row(row.platform, row.workspace, row.model, *(f"{n:,}" for n in numbers), money)
    return table


def _table(names: Sequence[str], counts: Sequence[str]) -> "Table":
    from rich.table import Column, Table

    return Table(
        *(Column(name, overflow="fold") for name in names), *(Column(c, justify="right") for c in counts)
    )


def _total(traffic: Sequence[Traffic]) -> Traffic:
    return Traffic(
        ALL,
        "",
        sessions=sum(row.sessions for row in traffic),
        messages=sum(row.messages for row in traffic),
        done=sum(row.done for row in traffic),
        stopped=sum(row.stopped for row in traffic),
        failed=sum(row.failed for row in traffic),
        waiting=sum(row.waiting for row in traffic),
        good=sum(row.good for row in traffic),
        bad=sum(row.bad for row in traffic),
    )
