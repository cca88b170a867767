"""Looking words and phrases up in a message's stream, where terms alone do not tell."""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from storage.search.index import microseconds
from storage.search.wanted import Candidate, Wanted


class holds(FunctionElement[bool]):  # noqa: N801 - reads as the SQL function that it is
    """Whether a text column holds a string."""

    type = sa.Boolean()
    inherit_cache = True


@compiles(holds, "sqlite")
def _holds_sqlite(element: Any, compiler: Any, **kw: Any) -> str:
    return f"(instr({compiler.process(element.clauses, **kw)}) > 0)"


@compiles(holds, "postgresql")
def _holds_postgresql(element: Any, compiler: Any, **kw: Any) -> str:
    return f"(strpos({compiler.process(element.clauses, **kw)}) > 0)"


class Checks:
    """The strings that are looked up in each candidate's stream, each of them once."""

    def __init__(self, wanted: Wanted) -> None:
        self.clauses = wanted.clauses
        self.without = [w.pattern for clause in wanted.without for w in clause.ways if w.pattern]
        together = "".join(clause.exact[:-1] for clause in wanted.clauses) + " "
        self.together = together if len(wanted.clauses) > 1 else ""
        ways = [way.pattern for clause in wanted.clauses for way in clause.ways]
        asked = [*ways, *(clause.exact for clause in wanted.clauses), self.together, *self.without]
        self.patterns = list(dict.fromkeys(pattern for pattern in asked if pattern))
        self._ways = [
            (n, [self.at(way.pattern) for way in clause.ways])
            for n, clause in enumerate(self.clauses)
            if any(way.pattern for way in clause.ways)
        ]
        """Of the clauses that terms alone do not tell of."""
        self._exact = [self.at(clause.exact) for clause in self.clauses]

    def at(self, pattern: str) -> int:
        """Which of the patterns it is; -1 for none."""
        return self.patterns.index(pattern) if pattern else -1

    @property
    def values(self) -> dict[str, str]:
        """For statements made with `columns`."""
        return {f"held_{n}": pattern for n, pattern in enumerate(self.patterns)}

    @staticmethod
    def columns(stream: sa.Column[str], patterns: int) -> list[sa.ColumnElement[int]]:
        """To be selected last of all columns, for `candidate`, with so many patterns."""
        return [told(holds(stream, Checks.asked(n)), f"holds_{n}") for n in range(patterns)]

    @staticmethod
    def asked(pattern: int) -> sa.BindParameter[str]:
        """That one of the patterns, as `values` names it."""
        return sa.bindparam(f"held_{pattern}", type_=sa.Text)

    def candidate(self, row: Any, fits: Callable[[int, int], bool]) -> Candidate | None:
        """The message of `row`, in which every clause has a way by its terms, if one fits by its pattern too.

        `fits` knows of terms alone, by the numbers of a clause and of a way of it.
        """
        flags = row[len(row) - len(self.patterns) :]
        for n, ways in self._ways:
            if not any(flags[at] if at >= 0 else fits(n, way) for way, at in enumerate(ways)):
                return None
        if self.without and any(flags[self.at(pattern)] for pattern in self.without):
            return None
        exact = tuple(bool(flags[at]) for at in self._exact)
        in_order = bool(self.together and flags[self.at(self.together)])
        return Candidate(row.session_id, row.position, row.sent_us, exact, in_order)


def told(condition: sa.ColumnElement[bool], name: str) -> sa.ColumnElement[int]:
    """A column that is true or not, as the database gives it: SQLite's need not be converted row by row."""
    return sa.type_coerce(condition, sa.Integer).label(name)


def in_time(column: sa.Column[int], *, after: bool, before: bool) -> list[sa.ColumnElement[bool]]:
    """That a time in microseconds is as `times` says, as far as there are bounds."""
    conditions = []
    if after:
        conditions.append(column >= sa.bindparam("after", type_=sa.BigInteger))
    if before:
        conditions.append(column < sa.bindparam("before", type_=sa.BigInteger))
    return conditions


def times(wanted: Wanted) -> dict[str, int]:
    """The bounds that are wanted, for `in_time`."""
    bounds = {"after": wanted.after, "before": wanted.before}
    return {name: microseconds(time) for name, time in bounds.items() if time is not None}
