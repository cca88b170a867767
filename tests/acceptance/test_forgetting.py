"""A whole bot forgets somebody: the word that they said is nowhere outside of the platform."""

import asyncio
from pathlib import Path

import aiohttp
import sqlalchemy as sa

from storage.tables import erasures
from tests.acceptance.process import POLL_S, WAIT_S, bot
from tests.databases import opened
from tests.integration.test_forgetting import World, held_hot

SECRET = "quetzalcoatl"


async def _answer(url: str) -> str:
    async with aiohttp.ClientSession() as http, http.get(url) as response:
        assert response.status in {200, 404}, await response.text()
        return (await response.text()).lower()


def _files(folder: Path) -> list[str]:
    """Files that hold the word; the playground's own posts stand on the platform."""
    files = [path for path in folder.rglob("*") if path.is_file() and "playground.db" not in path.name]
    return [path.name for path in files if SECRET.encode() in path.read_bytes().lower()]


async def test_nothing_that_the_bot_keeps_or_tells_holds_a_word_of_it(
    archive_url: str, hot_url: str, tmp_path: Path
) -> None:
    folder = tmp_path / "bot"
    folder.mkdir()
    async with opened(archive_url) as db:
        world = World(db)
        settings = {"THREADFLY__ARCHIVE__URL": archive_url, "THREADFLY__HOT__URL": hot_url}
        async with bot(folder, **settings) as made:
            root = await made.say(f"@threadfly the {SECRET} is here")
            assert [SECRET in text for text in await made.answered(root)] == [True]
            export = f"{made.url}/api/export/general/{root}?as=ann&form=markdown"
            assert SECRET in await _answer(export)
            await made.say(f"@threadfly recall {SECRET}")
            assert SECRET in await held_hot(hot_url)
            assert "messages" in await world.holds(SECRET)
            await made.say("@threadfly forget me yes", root)
            async with asyncio.timeout(WAIT_S):
                while await world.holds(SECRET) or await world.rows(erasures, sa.true()):  # noqa: ASYNC110
                    await asyncio.sleep(POLL_S)
            assert SECRET not in await held_hot(hot_url)
            assert SECRET not in await _answer(export)
            metrics = await _answer(f"{made.url}/metrics")
            assert "threadfly_archived_messages" in metrics
            assert SECRET not in metrics
            assert await made.end() == 0
        assert SECRET not in made.log().lower()
        assert await world.holds(SECRET) == []
    assert _files(tmp_path) == []
