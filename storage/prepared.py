"""Statements of the hot path: compiled once for each database, then handed to its driver as they are.

What SQLAlchemy does for every execution (looking its cache up, making a context and a result) takes
seven times as long as SQLite takes for the statement itself, and holds the interpreter meanwhile.
"""

from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from operator import itemgetter
from typing import Any, NamedTuple

import sqlalchemy as sa

Convert = Callable[[Any], Any]
"""A value on its way into or out of the database."""


DOUBLE = 701
"""PostgreSQL's code for a float: only numbers look at the code of their column, and ours are such."""


_named: Any = namedtuple
"""Columns are known at run time only."""


class _Compiled(NamedTuple):
    """A statement as one database takes it."""

    sql: str
    take: Callable[[Mapping[str, Any]], tuple[Any, ...]]
    """Makes its parameters, in their order, of values by name."""
    make: Callable[[Iterable[Any]], Any]
    """Makes a row with the columns as attributes."""
    converted: tuple[tuple[int, Convert], ...]
    """Columns that come in another form than ours."""


class Prepared:
    """One statement, run with values by name. Errors are SQLAlchemy's, as from `Connection.execute`.

    The same names are given each time. Lists of values (`IN`) and defaults made in Python are not taken.
    Opens no transaction: it belongs into one, or reads all that it reads by itself.
    """

    def __init__(self, build: Callable[[str], sa.Executable]) -> None:
        """`build` gets a dialect's name."""
        self._build = build
        self._compiled: dict[str, _Compiled] = {}

    def all(self, c: sa.Connection, values: Mapping[str, Any]) -> list[Any]:
        """The rows."""
        compiled = self._for(c, values)
        rows = run_raw(c, compiled.sql, compiled.take(values), _fetched)
        if not compiled.converted:
            return [compiled.make(row) for row in rows]
        return [compiled.make(_converted(row, compiled.converted)) for row in rows]

    def first(self, c: sa.Connection, values: Mapping[str, Any]) -> Any | None:
        """The first row; None where there is none."""
        rows = self.all(c, values)
        return rows[0] if rows else None

    def one(self, c: sa.Connection, values: Mapping[str, Any]) -> Any:
        """The row that there is."""
        (row,) = self.all(c, values)
        return row

    def run(self, c: sa.Connection, values: Mapping[str, Any]) -> int:
        """Run a statement that brings no rows back; how many it changed."""
        compiled = self._for(c, values)
        count: int = run_raw(c, compiled.sql, compiled.take(values), _count)
        return count

    def _for(self, c: sa.Connection, values: Mapping[str, Any]) -> _Compiled:
        name = c.dialect.name
        compiled = self._compiled.get(name)
        if compiled is None:
            compiled = self._compiled[name] = _compile(self._build(name), c.dialect, list(values))
        return compiled


def prepared(statement: sa.Executable) -> Prepared:
    """A statement that both databases spell alike."""
    return Prepared(lambda _: statement)


def _fetched(cursor: Any) -> Any:
    return cursor.fetchall()


def _count(cursor: Any) -> Any:
    return cursor.rowcount


def run_raw(c: sa.Connection, sql: str, given: tuple[Any, ...], outcome: Callable[[Any], Any]) -> Any:
    """Let the driver execute `sql`; what `outcome` makes of its cursor. Errors are SQLAlchemy's."""
    cursor: Any = None
    try:
        cursor = c.connection.cursor()
        cursor.execute(sql, given)
        found = outcome(cursor)
        cursor.close()
    except BaseException as error:  # noqa: BLE001 - raised again, as SQLAlchemy's own
        # Wraps the driver's errors and gives up a connection that is broken. Values are people's words.
        c._handle_dbapi_exception(error, sql, None, cursor, None)
    return found


def _converted(row: Iterable[Any], converted: Iterable[tuple[int, Convert]]) -> list[Any]:
    values = list(row)
    for place, convert in converted:
        values[place] = convert(values[place])
    return values


def _compile(statement: Any, dialect: sa.Dialect, names: list[str]) -> _Compiled:
    compiled = statement.compile(dialect=dialect, column_keys=names)
    columns = compiled._result_columns
    row = _named("Row", [each.keyname for each in columns])
    processors = [each.type._cached_result_processor(dialect, DOUBLE) for each in columns]
    return _Compiled(
        sql=compiled.string,
        take=_taker(compiled, names),
        make=partial(tuple.__new__, row),  # what its `_make` does, without Python in between
        converted=tuple((place, convert) for place, convert in enumerate(processors) if convert),
    )


def _taker(compiled: Any, names: list[str]) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    """Makes a statement's parameters of values by name, and of those that are the statement's own."""
    order, processors = tuple(compiled.positiontup or ()), compiled._bind_processors

    def convert(name: str, value: Any) -> Any:
        return processors[name](value) if name in processors else value

    own = {name: convert(name, compiled.params[name]) for name in order if name not in names}
    converted = [
        (at, processors[name]) for at, name in enumerate(order) if name in processors and name in names
    ]
    pick = itemgetter(*order) if len(order) > 1 else lambda values: tuple(values[name] for name in order)

    def take(values: Mapping[str, Any]) -> tuple[Any, ...]:
        picked: tuple[Any, ...] = pick({**values, **own} if own else values)
        return tuple(_converted(picked, converted)) if converted else picked

    return take
