"""Looking things up in the playground, through its HTTP door."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot.recall import PAGE
from tests.fakes.remembering import Playground, remembering


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody without a browser."""

    playground: Playground
    http: aiohttp.ClientSession

    async def post(self, me: str, path: str, **json: Any) -> tuple[int, dict[str, Any]]:
        address = f"{self.playground.url}{path}"
        async with self.http.post(address, params={"as": me}, json=json) as response:
            return response.status, await response.json()

    async def notes(self, me: str) -> list[dict[str, Any]]:
        async with self.http.get(f"{self.playground.url}/api/room", params={"as": me}) as response:
            return list((await response.json())["notes"])

    async def recall(self, me: str, words: str, channel: str = "general") -> dict[str, Any]:
        """What a slash command shows."""
        assert await self.post(me, f"/api/posts/{channel}", text=f"/recall {words}") == (200, {"noted": True})
        return (await self.notes(me))[-1]


@pytest.fixture
async def visitor(tmp_path: Path) -> AsyncIterator[Visitor]:
    async with remembering(tmp_path) as playground, aiohttp.ClientSession() as http:
        yield Visitor(playground, http)


def texts(note: dict[str, Any]) -> list[str]:
    found = note["found"]["found"]
    lines = [line for hit in found for line in hit["lines"] if line["hit"]]
    return ["".join(text for text, _ in line["pieces"]) for line in lines]


async def test_what_was_said_is_found_and_its_link_opens_the_thread(visitor: Visitor) -> None:
    root = await visitor.playground.say("ann", "general", "@threadfly the login page is slow")
    note = await visitor.recall("joe", "login")
    assert texts(note) == ["the login page is slow"]
    (hit,) = note["found"]["found"]
    assert (hit["where"], hit["link"]) == ("#general", f"#/general/{root}/{root}")
    assert hit["lines"][-1]["name"] == "Threadfly"


async def test_nobody_else_sees_the_answer(visitor: Visitor) -> None:
    await visitor.playground.say("ann", "general", "@threadfly tea")
    await visitor.recall("joe", "tea")
    assert await visitor.notes("ann") == []


async def test_a_mention_asks_too_and_is_no_part_of_the_thread(visitor: Visitor) -> None:
    root = await visitor.playground.say("ann", "general", "@threadfly tea")
    await visitor.playground.platform.room.say("joe", "general", root, "@threadfly recall tea")
    while not (notes := await visitor.notes("joe")):
        await visitor.playground.process.settle()
    assert (texts(notes[0]), notes[0]["root"]) == (["tea"], root)
    assert len(await visitor.playground.platform.room.page("general", root, None, 10)) == 3


async def test_who_is_not_in_a_private_channel_finds_nothing_of_it(visitor: Visitor) -> None:
    await visitor.playground.say("ann", "secret-plans", "@threadfly the albatross flies")
    await visitor.playground.say("ann", "dm-ann", "the albatross is mine")
    assert texts(await visitor.recall("joe", "albatross")) == []
    assert texts(await visitor.recall("joe", "albatross", "dm-joe")) == []
    assert texts(await visitor.recall("mei", "albatross")) == []
    assert texts(await visitor.recall("mei", "albatross", "secret-plans")) == ["the albatross flies"]
    assert texts(await visitor.recall("mei", "albatross", "dm-mei")) == ["the albatross flies"]
    assert sorted(texts(await visitor.recall("ann", "albatross", "dm-ann"))) == [
        "the albatross flies",
        "the albatross is mine",
    ]
    assert (await visitor.post("joe", "/api/posts/secret-plans", text="/recall albatross"))[0] == 404


async def test_one_leafs_through_the_hits(visitor: Visitor) -> None:
    for n in range(PAGE + 1):
        await visitor.playground.say("ann", "general", f"@threadfly tea {n}")
    first = (await visitor.recall("joe", "tea"))["found"]
    assert (len(first["found"]), first["earlier"], first["later"]) == (PAGE, None, PAGE)
    again = {"words": "tea", "as_of": first["as_of"], "root": None}
    status, answer = await visitor.post("joe", "/api/recall/general", skip=first["later"], **again)
    assert (status, len(answer["found"]["found"]), answer["found"]["later"]) == (200, 1, None)
    _, back = await visitor.post("joe", "/api/recall/general", skip=answer["found"]["earlier"], **again)
    assert back["found"]["found"] == first["found"]


async def test_one_reads_on_around_a_hit_if_one_may(visitor: Visitor) -> None:
    root = await visitor.playground.say("ann", "secret-plans", "@threadfly the albatross flies")
    about = {"of_channel": "secret-plans", "of_thread": str(root), "position": str(root), "step": 0}
    status, answer = await visitor.post("mei", "/api/recall/dm-mei/look", **about)
    assert (status, [line["hit"] for line in answer["part"]["lines"]]) == (200, [True, False])
    for me, channel in (("joe", "general"), ("joe", "dm-joe"), ("mei", "general"), ("joe", "secret-plans")):
        assert (await visitor.post(me, f"/api/recall/{channel}/look", **about))[0] == 404


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("", {"words": 7, "skip": 0, "as_of": 1}),
        ("", {"words": "tea", "skip": 10**9, "as_of": 1}),
        ("", {"words": "tea", "skip": 0, "as_of": 10**17}),
        ("", {"words": "tea", "skip": "x", "as_of": 1}),
        ("", {"words": "tea"}),
        ("", {"words": "from:@nobody", "skip": 0, "as_of": 1}),
        ("/look", {"of_channel": 1, "of_thread": "1", "position": "1"}),
        ("/look", {"of_channel": "general", "of_thread": "1", "position": "9"}),
        ("/look", {"of_channel": "general", "of_thread": "x", "position": "9"}),
        ("/look", {"of_channel": "general", "of_thread": "1", "position": "1", "step": 5}),
        ("/look", {"of_channel": "general", "of_thread": "1", "position": "1", "step": [1]}),
    ],
)
async def test_what_makes_no_sense_is_refused_with_a_sentence(
    visitor: Visitor, path: str, asked: dict[str, Any]
) -> None:
    status, answer = await visitor.post("ann", f"/api/recall/general{path}", **asked)
    assert status in {404, 422}
    assert answer["sorry"]


@pytest.mark.parametrize(
    "words",
    [
        '"', '" OR 1=1 --', "'; DROP TABLE messages; --", "a* NEAR(b c)", "%_\\", "& | ! <-> :*", "-", "--",
        "from: in: has:", "from:@ in:#", "\x00\x07\ud800", "x" * 10_000, "（ ＡＮＤ ", "🦆" * 200, "((((",
        "before:99999999999", "has:everything", "in:<#C1|", "from:<@U1>", "here here here", "/recall /recall",
    ],
)  # fmt: skip
async def test_whatever_is_typed_a_page_or_a_sentence_comes_back(visitor: Visitor, words: str) -> None:
    await visitor.playground.say("ann", "general", "@threadfly tea")
    note = await visitor.recall("joe", words)
    assert note["text"]
    assert "found" not in note or texts(note) in ([], ["tea"], ["answer 1"])


# What others see.


async def offered(
    visitor: Visitor, me: str, hit: dict[str, Any], channel: str, path: str, **more: Any
) -> Any:
    about = {"of_channel": hit["channel"], "of_thread": hit["thread"], "position": str(hit["position"])}
    return await visitor.post(me, f"/api/recall/{channel}/{path}", root=None, zone="UTC", **about, **more)


async def posts(visitor: Visitor, me: str, channel: str, root: int | None = None) -> list[dict[str, Any]]:
    query = {"as": me} | ({} if root is None else {"root": str(root)})
    async with visitor.http.get(f"{visitor.playground.url}/api/posts/{channel}", params=query) as response:
        return list((await response.json())["posts"])


@pytest.mark.parametrize("nonce", ["n", "\ud800", "\x00"])
async def test_a_hit_is_shown_to_everybody_after_a_yes_and_only_once(visitor: Visitor, nonce: str) -> None:
    root = await visitor.playground.say("ann", "general", "@threadfly the *login* page, see `x`")
    (hit,) = (await visitor.recall("joe", "login", "random"))["found"]["found"]
    assert hit["for_all"]
    status, asked = await offered(visitor, "joe", hit, "random", "offer")
    assert (status, "Everybody who reads along" in asked["ask"]) == (200, True)
    assert await posts(visitor, "joe", "random") == []
    for _ in range(2):
        status, _ = await offered(visitor, "joe", hit, "random", "show", nonce=nonce)
        assert status == 200
    (shown,) = await posts(visitor, "mei", "random")
    assert "the *login* page, see `x`" in str(shown["body"]).replace("', '", "")
    assert ["a", {"href": f"#/general/{root}/{root}"}, "open"] in shown["body"][0][2]
    assert "Joe had this shown with recall" in str(shown["body"])


async def test_private_things_are_neither_shown_nor_gone_on_with_where_others_read(visitor: Visitor) -> None:
    await visitor.playground.say("ann", "secret-plans", "@threadfly the secret is plum")
    (hit,) = (await visitor.recall("ann", "plum", "dm-ann"))["found"]["found"]
    assert not hit["for_all"]
    _, nothing = await offered(visitor, "ann", {**hit, "position": 1}, "general", "offer")
    assert await offered(visitor, "ann", hit, "general", "offer") == (422, nothing)
    assert (await offered(visitor, "joe", hit, "general", "offer"))[0] == 404
    for path in ("show", "go_on"):
        _, said = await offered(visitor, "ann", hit, "general", path, nonce="n")
        assert "not everybody who reads along" in str(said)
    assert await posts(visitor, "ann", "general") == []


async def test_one_goes_on_in_a_new_thread_and_both_lead_to_each_other(visitor: Visitor) -> None:
    old = await visitor.playground.say("ann", "general", "@threadfly the cat is called Fred")
    (hit,) = (await visitor.recall("joe", "cat", "random"))["found"]["found"]
    status, said = await offered(visitor, "joe", hit, "random", "go_on", nonce="n")
    (opening,) = await posts(visitor, "joe", "random")
    new = opening["position"]
    assert (status, f"#/random/{new}/{new}" in str(said)) == (200, True)
    assert f"#/general/{old}/" in str(opening["body"])
    assert f"#/random/{new}/{new}" in str((await posts(visitor, "ann", "general", old))[-1]["body"])
    await visitor.playground.say("mei", "random", "what is it called?", root=new)
    assert "Ann: the cat is called Fred" in str(visitor.playground.model.prompts[-1])


async def test_in_a_direct_message_it_goes_on_right_there(visitor: Visitor) -> None:
    await visitor.playground.say("ann", "secret-plans", "@threadfly the cat is called Fred")
    (hit,) = (await visitor.recall("ann", "cat", "dm-ann"))["found"]["found"]
    assert (await offered(visitor, "ann", hit, "dm-ann", "go_on", nonce="n"))[0] == 200
    await visitor.playground.say("ann", "dm-ann", "what is it called?")
    assert "Ann: the cat is called Fred" in str(visitor.playground.model.prompts[-1])
