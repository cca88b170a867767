"""What the archive's databases make of work that they refuse."""

import asyncio
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

from bot.errors import ArchiveUnavailable
from storage.database import Database, open_database
from storage.tables import watermarks
from tests.databases import fresh_database, opened


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


def more(url: str, **query: str) -> str:
    """`url` with more said behind the question mark."""
    return sa.make_url(url).update_query_dict(query).render_as_string(hide_password=False)


@pytest.fixture
async def postgres(postgres_server: sa.URL) -> str:
    return await fresh_database(postgres_server)


@pytest.mark.parametrize(
    "query",
    [
        {"sslmode": "prefer", "channel_binding": "prefer", "application_name": "threadfly"},
        {"sslmode": "disable", "connect_timeout": "10"},
        {"pgbouncer": "true"},
    ],
)
async def test_urls_of_other_tools_lead_to_the_archive(postgres: str, query: dict[str, str]) -> None:
    database = open_database(more(postgres, **query))
    try:
        await database.write(lambda c: c.execute(sa.text("CREATE TABLE a (b int)")).rowcount)
        assert await database.read(lambda c: c.execute(sa.text("SELECT count(*) FROM a")).scalar()) == 0
        await database.scrub(["a"])
    finally:
        await database.close()


@pytest.mark.parametrize(
    ("name", "query", "sentence"),
    [
        ("not_there", {}, "does not exist"),
        (None, {"user": "nobody_there"}, "let the user"),
        (None, {"default_transaction_read_only": "on"}, "standby"),
    ],
)
async def test_what_postgresql_refuses_is_said_in_a_sentence_that_helps(
    postgres: str, name: str | None, query: dict[str, str], sentence: str
) -> None:
    url = sa.make_url(postgres).set(database=name or sa.make_url(postgres).database)
    user = query.pop("user", url.username)
    database = open_database(more(url.set(username=user).render_as_string(hide_password=False), **query))
    try:
        with pytest.raises(ArchiveUnavailable, match=sentence):
            await database.write(lambda c: c.execute(sa.text("CREATE TABLE a (b int)")).rowcount)
    finally:
        await database.close()


async def test_a_connection_that_is_ended_in_the_middle_of_work_costs_another_try(postgres: str) -> None:
    database, tries = open_database(postgres), []
    pid = sa.text("SELECT pg_backend_pid()")
    end = sa.text("SELECT pg_terminate_backend(:pid)")

    def work(c: sa.Connection) -> int:
        tries.append(c.execute(pid).scalar_one())
        if len(tries) == 1:
            c.execute(end, {"pid": tries[0]})
        return int(c.execute(sa.text("SELECT 2")).scalar_one())

    try:
        assert await database.write(work) == 2
    finally:
        await database.close()
    assert len(tries) == 2


async def test_work_that_loses_every_race_is_an_error_of_ours(postgres: str) -> None:
    raising = sa.text("DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '40P01'; END $$")
    database = open_database(postgres)
    try:
        with pytest.raises(ArchiveUnavailable):
            await database.write(lambda c: c.execute(raising).rowcount)
    finally:
        await database.close()


async def test_work_whose_caller_is_gone_before_it_began_is_not_done(tmp_path: Path) -> None:
    """Else a mention would be taken up by nobody: its turn is claimed, and no task runs it."""
    async with opened(f"sqlite+aiosqlite:///{tmp_path}/archive.db") as database:
        begun, go_on = asyncio.Event(), threading.Event()
        loop = asyncio.get_running_loop()

        def slow(_: sa.Connection) -> bool:
            loop.call_soon_threadsafe(begun.set)
            return go_on.wait(20)

        first = asyncio.create_task(database.write(slow))
        await begun.wait()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await database.write(lambda c: put(c, "nobody waits", 1))
        go_on.set()
        await first
        await database.write(lambda c: put(c, "somebody waits", 1))
        assert await database.read(kept) == ["somebody waits"]
