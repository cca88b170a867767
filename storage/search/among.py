"""Conditions on many values at once, in one parameter: the statement stays the same however many there are.

A list of five hundred parameters costs more to build, and on PostgreSQL to plan, than to look up.
"""

from collections.abc import Sequence
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY


def among(c: sa.Connection, column: sa.ColumnElement[Any], values: Sequence[Any]) -> sa.ColumnElement[bool]:
    """Whether `column` is one of `values`: texts or integers."""
    if c.dialect.name == "postgresql":
        return column == sa.any_(sa.bindparam(None, list(values), type_=ARRAY(column.type)))
    listed = sa.func.json_each(sa.bindparam(None, orjson.dumps(values).decode(), type_=sa.Text))
    return column.in_(sa.select(listed.table_valued("value").c.value))
