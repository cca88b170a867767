"""What somebody wished to be forgotten, and is in the index until it is erased: found, and not shown."""

from collections.abc import Sequence
from typing import Any, Final

import orjson
import sqlalchemy as sa

from storage.archive.shown import shown
from storage.prepared import Prepared, prepared
from storage.search.wanted import Candidate
from storage.tables import erasures, messages


def any_waits(c: sa.Connection) -> bool:
    """Whether anything is still to be erased. To be asked before searching: then nothing slips through."""
    return _WAITING.first(c, {}) is not None


def without_them(c: sa.Connection, candidates: Sequence[Candidate]) -> list[Candidate]:
    """Those of `candidates` that may be shown and counted."""
    pairs = [(each.session_id, each.position) for each in candidates]
    rows = _SHOWN.all(c, {"pairs": orjson.dumps(pairs).decode()})
    there = {(row.session_id, row.position) for row in rows}
    return [each for each, pair in zip(candidates, pairs, strict=True) if pair in there]


def _shown(dialect: str) -> sa.Select[Any]:
    """The messages of pairs of session and position, as JSON, that may be shown."""
    given = sa.bindparam("pairs", type_=sa.Text)
    pair: sa.ColumnElement[Any]
    session: sa.ColumnElement[int]
    position: sa.ColumnElement[int]
    if dialect == "postgresql":
        pair = sa.func.json_array_elements(sa.cast(given, sa.JSON)).column_valued("pair")
        session, position = (sa.cast(pair.op("->>")(sa.literal_column(n)), sa.BigInteger) for n in "01")
    else:
        pair = sa.func.json_each(given).table_valued("value").c.value
        session, position = (sa.func.json_extract(pair, f"$[{n}]") for n in range(2))
    return sa.select(messages.c.session_id, messages.c.position).where(
        messages.c.session_id == session, messages.c.position == position, shown()
    )


_WAITING: Final = prepared(sa.select(erasures.c.id).limit(1))
_SHOWN: Final = Prepared(_shown)
