"""The doctor: what was tried, what came back, what to do."""

import asyncio
import socket
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import pytest

from adapters.http import HttpServer
from adapters.metrics import Metrics
from bot import doctor
from bot.doctor import Check, Finding, examine
from bot.domain import Chunk, Delta, Finished, ModelCard, Prompt, Usage
from bot.errors import ModelError, ModelRefusedKey, ModelRefusedRequest, ModelUnavailable, ThreadflyError


class Answering:
    """A model that answers, or fails, at once."""

    def __init__(self, failure: ModelError | None = None) -> None:
        self._failure = failure
        self.asked = 0

    def card(self, name: str) -> ModelCard:
        return ModelCard(name, 1000, 100, sees=False)

    async def stream(self, prompt: Prompt, name: str) -> AsyncGenerator[Chunk, None]:
        self.asked += 1
        if self._failure:
            raise self._failure
        yield Delta("ok")
        self.asked += 1000  # whoever is still listening pays for more
        yield Finished(Usage())


async def only(check: Check) -> Finding:
    (finding,) = await examine([check])
    return finding


async def test_every_check_is_made_and_one_that_breaks_is_a_finding() -> None:
    async def well() -> Sequence[Finding]:
        return [Finding("a", "tried", "it worked"), Finding("a", "tried more", "it worked")]

    async def refused() -> Sequence[Finding]:
        raise ThreadflyError("the door is shut")

    async def breaks() -> Sequence[Finding]:
        raise RuntimeError("sesame")

    findings = await examine([Check("a", "t", well), Check("b", "t", refused), Check("c", "t", breaks)])
    assert [finding.ok for finding in findings] == [True, True, False, False]
    assert findings[2].came_back == "the door is shut"
    assert findings[3].came_back.startswith("RuntimeError at ")
    assert "sesame" not in findings[3].came_back


async def test_one_that_is_silent_is_a_finding_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "CHECK_TIMEOUT_S", 0.01)

    async def silent() -> Sequence[Finding]:
        await asyncio.Event().wait()
        raise AssertionError

    finding = await only(Check("a", "t", silent))
    assert (finding.ok, finding.came_back) == (False, "nothing within 0.01 s")


async def test_a_data_folder_is_made_and_one_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert (await only(doctor.data_folder(tmp_path / "new"))).ok
    finding = await only(doctor.data_folder(tmp_path / "file" / "data"))
    assert not finding.ok
    assert "set data_dir" in finding.came_back


async def test_a_port_is_free_or_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        taken.close()
        assert (await only(doctor.http_port("127.0.0.1", port))).came_back == "it is free"
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        finding = await only(doctor.http_port("127.0.0.1", server.sockets[0].getsockname()[1]))
    assert (finding.ok, finding.came_back) == (False, "taken by another program")


async def test_a_port_that_threadfly_itself_has_is_well() -> None:
    server = HttpServer("127.0.0.1", 0, Metrics({}).registry)
    await server.open()
    finding = await only(doctor.http_port("127.0.0.1", server.port))
    await server.close()
    assert (finding.ok, finding.came_back) == (True, "Threadfly runs there already")


async def test_a_model_that_answers_is_asked_for_its_first_words_alone() -> None:
    port = Answering()
    assert (await only(doctor.model(port, "small", "http://h/v1"))).ok
    assert port.asked == 1


@pytest.mark.parametrize(
    ("failure", "to_do"),
    [
        (ModelRefusedKey("refused"), "a key that holds"),
        (ModelRefusedRequest("no such model"), "Set llm.model"),
        (ModelUnavailable("away"), "llm.base_url is right"),
    ],
)
async def test_what_to_do_about_a_model_depends_on_what_came_back(failure: ModelError, to_do: str) -> None:
    failure.__cause__ = Exception()
    failure.__cause__.status = 404  # type: ignore[attr-defined]  # as a cause with a status has it
    finding = await only(doctor.model(Answering(failure), "small", "http://h/v1"))
    assert not finding.ok
    assert finding.came_back == f"{failure} (HTTP 404)"
    assert to_do in finding.to_do


async def test_a_part_tells_by_itself_whether_it_is_well() -> None:
    async def away() -> str:
        return "it is away"

    finding = await only(doctor.probed("hot", "pinged it", away, "Start it."))
    assert finding == Finding("hot", "pinged it", "it is away", "Start it.", ok=False)
