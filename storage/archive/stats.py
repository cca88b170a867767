"""Counts over the whole archive. Reads every session and turn: for an operator, now and then."""

from collections import defaultdict
from typing import Final

import sqlalchemy as sa

from bot.stats import Spent, Stats, Traffic
from storage.database import Database
from storage.tables import feedback, sessions, turns

_PLACE: Final = (sessions.c.platform, sessions.c.workspace)
_SESSIONS: Final = sa.select(
    *_PLACE, sa.func.count().label("sessions"), sa.func.sum(sessions.c.messages).label("messages")
).group_by(*_PLACE)
_TURNS: Final = (
    sa.select(*_PLACE, turns.c.state, sa.func.count().label("number"))
    .join_from(turns, sessions)
    .group_by(*_PLACE, turns.c.state)
)
_FEEDBACK: Final = (
    sa.select(*_PLACE, feedback.c.good, sa.func.count().label("number"))
    .join_from(feedback, turns)
    .join(sessions, turns.c.session_id == sessions.c.id)
    .group_by(*_PLACE, feedback.c.good)
)
_SPENT: Final = (
    sa.select(
        *_PLACE,
        turns.c.model,
        sa.func.count().label("answers"),
        sa.func.coalesce(sa.func.sum(turns.c.prompt_tokens), 0).label("prompt_tokens"),
        sa.func.coalesce(sa.func.sum(turns.c.completion_tokens), 0).label("completion_tokens"),
    )
    .join_from(turns, sessions)
    .where(turns.c.model != "")
    .group_by(*_PLACE, turns.c.model)
    .order_by(*_PLACE, turns.c.model)
)


async def read_stats(database: Database) -> Stats:
    """Everything, at one moment."""
    return await database.read(_stats)


def _stats(c: sa.Connection) -> Stats:
    ended: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for row in c.execute(_TURNS):
        ended[row.platform, row.workspace][row.state] = row.number
    judged: dict[tuple[str, str], dict[bool, int]] = defaultdict(dict)
    for row in c.execute(_FEEDBACK):
        judged[row.platform, row.workspace][row.good] = row.number
    traffic = []
    for row in c.execute(_SESSIONS.order_by(*_PLACE)):
        states, thumbs = ended[row.platform, row.workspace], judged[row.platform, row.workspace]
        traffic.append(
            Traffic(
                row.platform,
                row.workspace,
                sessions=row.sessions,
                messages=int(row.messages),
                done=states.get("done", 0),
                stopped=states.get("stopped", 0),
                failed=states.get("failed", 0),
                waiting=states.get("running", 0) + states.get("queued", 0),
                good=thumbs.get(True, 0),
                bad=thumbs.get(False, 0),
            )
        )
    spent = [
        Spent(
            row.platform,
            row.workspace,
            row.model,
            answers=row.answers,
            prompt_tokens=int(row.prompt_tokens),
            completion_tokens=int(row.completion_tokens),
        )
        for row in c.execute(_SPENT)
    ]
    return Stats(traffic, spent)
