"""Indexes on parts of tables serve the statements that they were made for: a walk through all would grow."""

import re
from typing import Any

import pytest
import sqlalchemy as sa

from storage.archive.claims import _QUEUED
from storage.archive.lending import _DUE
from storage.archive.turns import _OVERDUE
from storage.archive.windows import _NEWEST
from storage.database import Database
from storage.prepared import Prepared
from storage.search.finder import _CLOSED

SERVED = {
    "turns that wait": (_QUEUED, "ix_turns_queued"),
    "turns that nobody goes on with": (_OVERDUE, "ix_turns_lease"),
    "messages to be given back": (_DUE, "ix_messages_lent"),
    "replies that go": (_NEWEST, "ix_turns_forgotten"),
    "threads with readers of their own": (_CLOSED, "ix_sessions_closed"),
}


@pytest.mark.parametrize("of", SERVED)
async def test_a_statement_is_served_by_its_index(database: Database, of: str) -> None:
    statement, index = SERVED[of]
    plan = await database.write(lambda c: planned(c, statement))
    assert index in plan, plan


def planned(c: sa.Connection, statement: Any) -> str:
    """How the database would carry it out, whatever its parameters are."""
    name = c.dialect.name
    asked = statement._build(name) if isinstance(statement, Prepared) else statement
    compiled = asked.compile(dialect=c.dialect)
    sql = compiled.string.replace("(__[POSTCOMPILE_here])", "('slack')")
    if name == "sqlite":
        parameters = (None,) * sql.count("?")
        return "\n".join(row[3] for row in c.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", parameters))
    for costly in ("seqscan", "sort"):  # as they are once there is much
        c.exec_driver_sql(f"SET LOCAL enable_{costly} = off")
    c.exec_driver_sql("SET LOCAL plan_cache_mode = force_generic_plan")
    c.exec_driver_sql(f"PREPARE asked AS {sql}")
    given = f"({', '.join(['NULL'] * len(set(re.findall(r'[$][0-9]+', sql))))})" if "$" in sql else ""
    return "\n".join(row[0] for row in c.exec_driver_sql(f"EXPLAIN EXECUTE asked{given}"))
