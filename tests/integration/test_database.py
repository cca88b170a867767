"""What the archive's databases make of work that they refuse."""

import asyncio

import pytest
import sqlalchemy as sa

from bot.errors import ArchiveUnavailable
from storage.database import Database
from storage.tables import watermarks


def put(c: sa.Connection, channel: str | None, position: int) -> int:
    values = {"platform": "web", "workspace": "secret", "channel": channel, "position": position}
    return c.execute(sa.insert(watermarks), values).rowcount


def kept(c: sa.Connection) -> list[str]:
    return list(c.scalars(sa.select(watermarks.c.channel).order_by(watermarks.c.channel)))


@pytest.mark.parametrize(("channel", "rule"), [("there", "watermarks"), (None, "channel")])
async def test_a_broken_rule_is_an_error_of_ours_that_names_it_and_quotes_no_value(
    database: Database, channel: str | None, rule: str
) -> None:
    await database.write(lambda c: put(c, "there", 1))
    with pytest.raises(ArchiveUnavailable, match=f"rule of its own.*{rule}") as refused:
        await database.write(lambda c: put(c, channel, 2))
    assert "secret" not in str(refused.value)
    assert await database.read(kept) == ["there"]


async def test_what_is_refused_keeps_nobody_elses_work_from_being_committed(database: Database) -> None:
    await database.write(lambda c: put(c, "there", 1))
    channels = ["a", "there", "b", "there", "c"]
    outcomes = await asyncio.gather(
        *(database.write(lambda c, channel=channel: put(c, channel, 2)) for channel in channels),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [int, ArchiveUnavailable, int, ArchiveUnavailable, int]
    assert await database.read(kept) == ["a", "b", "c", "there"]
