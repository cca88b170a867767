"""Conditions on many values at once, in one parameter: the statement stays the same however many there are.

A list of five hundred parameters costs more to build, and on PostgreSQL to plan, than to look up.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY


class _Json(sa.TypeDecorator[list[Any]]):
    """Texts or integers, as SQLite takes many of them at once."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: list[Any] | None, dialect: sa.Dialect) -> str:  # noqa: ARG002
        return orjson.dumps(value).decode()


def among(c: sa.Connection, column: sa.ColumnElement[Any], values: Sequence[Any]) -> sa.ColumnElement[bool]:
    """Whether `column` is one of `values`: texts or integers."""
    return _among(c.dialect.name, column, None, list(values))


def among_hashed(dialect: str, column: sa.ColumnElement[Any], name: str) -> sa.ColumnElement[bool]:
    """As `among_named`, for looking at many rows: PostgreSQL would else go through the list for each."""
    if dialect != "postgresql":
        return among_named(dialect, column, name)
    listed = sa.select(sa.func.unnest(sa.bindparam(name, type_=ARRAY(column.type))))
    return sa.func.coalesce(column.in_(listed), sa.false())  # as a plain condition it would become a join


def among_looked_up(dialect: str, column: sa.ColumnElement[Any], name: str) -> sa.ColumnElement[bool]:
    """As `among_named`, for looking up hundreds of values in an index.

    PostgreSQL would else take most of a table for wanted that it has no statistics of yet, and read it all.
    """
    if dialect != "postgresql":
        return among_named(dialect, column, name)
    return among_found(
        dialect, column, sa.select(sa.func.unnest(sa.bindparam(name, type_=ARRAY(column.type))))
    )


def among_found(
    dialect: str, column: sa.ColumnElement[Any], values: sa.Select[Any]
) -> sa.ColumnElement[bool]:
    """Whether `column` is one of the few that `values` finds, which PostgreSQL looks for first, and once."""
    if dialect != "postgresql":
        return column.in_(values)
    return column == sa.any_(sa.func.array(values.scalar_subquery(), type_=ARRAY(column.type)))


def among_rows(dialect: str, columns: Sequence[sa.ColumnElement[str]], name: str) -> sa.ColumnElement[bool]:
    """Whether `columns` together are one of the rows of texts that are given as `name`: JSON, see `rows`."""
    given = sa.bindparam(name, type_=sa.Text)
    if dialect == "postgresql":
        row = sa.func.json_array_elements(sa.cast(given, sa.JSON)).column_valued("row")
        texts = [row.op("->>")(sa.literal_column(str(n))) for n in range(len(columns))]
        return sa.func.coalesce(sa.tuple_(*columns).in_(sa.select(*texts)), sa.false())  # as above
    value = sa.func.json_each(given).table_valued("value").c.value
    return sa.tuple_(*columns).in_(
        sa.select(*(sa.func.json_extract(value, f"$[{n}]") for n in range(len(columns))))
    )


def rows(values: Iterable[Sequence[str]]) -> str:
    """Rows of texts as `among_rows` takes them."""
    return orjson.dumps([list(value) for value in values]).decode()


def among_named(dialect: str, column: sa.ColumnElement[Any], name: str) -> sa.ColumnElement[bool]:
    """The same for a statement that is prepared for `dialect`, with the list that is given as `name`."""
    return _among(dialect, column, name)


def _among(
    dialect: str, column: sa.ColumnElement[Any], name: str | None, values: list[Any] | None = None
) -> sa.ColumnElement[bool]:
    if dialect == "postgresql":
        return column == sa.any_(sa.bindparam(name, values, type_=ARRAY(column.type)))
    listed = sa.func.json_each(sa.bindparam(name, values, type_=_Json))
    return column.in_(sa.select(listed.table_valued("value").c.value))
