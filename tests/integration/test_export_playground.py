"""A thread as a download of the playground, through its HTTP door."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot import words
from tests.fakes.remembering import Playground, remembering


class Visitor:
    """Somebody without a browser."""

    def __init__(self, playground: Playground, http: aiohttp.ClientSession) -> None:
        self.playground, self._http = playground, http

    async def type(self, me: str, channel: str, text: str, root: int | None = None) -> dict[str, Any]:
        """Type it; the note that is shown to them alone."""
        address = f"{self.playground.url}/api/posts/{channel}"
        async with self._http.post(address, params={"as": me}, json={"text": text, "root": root}) as answer:
            assert answer.status == 200
        return (await self.notes(me))[-1]

    async def notes(self, me: str) -> list[dict[str, Any]]:
        async with self._http.get(f"{self.playground.url}/api/room", params={"as": me}) as answer:
            return list((await answer.json())["notes"])

    async def get(self, path: str) -> tuple[int, str, str]:
        """Status, what it is to be saved as, and the content."""
        async with self._http.get(f"{self.playground.url}{path}") as answer:
            return answer.status, answer.headers.get("Content-Disposition", ""), await answer.text()


@pytest.fixture
async def visitor(tmp_path: Path) -> AsyncIterator[Visitor]:
    async with remembering(tmp_path) as playground, aiohttp.ClientSession() as http:
        yield Visitor(playground, http)


async def test_the_asker_alone_is_shown_a_download(visitor: Visitor) -> None:
    root = await visitor.playground.say("ann", "general", "@threadfly the login page is slow")
    note = await visitor.type("joe", "general", "/export html", root)
    assert note["text"] == "Here is “the login page is slow”: 2 messages."
    status, saved_as, page = await visitor.get(note["download"])
    assert (status, "<p>the login page is slow</p>" in page) == (200, True)
    assert saved_as == "attachment; filename*=UTF-8''threadfly-export-the-login-page-is-slow.html"
    assert await visitor.notes("ann") == []


async def test_a_mention_asks_too_and_is_no_part_of_the_thread(visitor: Visitor) -> None:
    root = await visitor.playground.say("ann", "general", "@threadfly tea")
    await visitor.playground.platform.room.say("joe", "general", root, "@threadfly export json")
    while not (notes := await visitor.notes("joe")):
        await visitor.playground.process.settle()
    _, _, content = await visitor.get(notes[0]["download"])
    assert [message["text"] for message in json.loads(content)["messages"]] == ["tea", "answer 1"]


async def test_a_thread_can_be_named_by_its_address(visitor: Visitor) -> None:
    root = await visitor.playground.say("ann", "general", "@threadfly tea")
    note = await visitor.type("joe", "general", f"/export #/general/{root}/{root}")
    _, _, content = await visitor.get(note["download"])
    assert "> tea" in content


async def test_nobody_takes_out_what_they_may_not_read(visitor: Visitor) -> None:
    root = await visitor.playground.say("ann", "secret-plans", "@threadfly the secret is plum")
    asked = await visitor.type("joe", "general", f"/export #/secret-plans/{root}")
    assert (asked["text"], "download" in asked) == (words.EXPORT_NOT_LINKED, False)
    note = await visitor.type("ann", "secret-plans", "/export", root)
    for stolen in (
        note["download"].replace("as=ann", "as=joe"),
        f"/api/export/general/1?as=joe&link=%23/secret-plans/{root}",
        f"/api/export/secret-plans/{root}?as=nobody",
    ):
        status, _, content = await visitor.get(stolen)
        assert (status, "plum" in content) == (404, False)
    assert "plum" in (await visitor.get(note["download"]))[2]


async def test_where_there_is_no_thread_it_says_how_to_name_one(visitor: Visitor) -> None:
    assert (await visitor.type("joe", "general", "/export"))["text"] == words.EXPORT_NO_THREAD
