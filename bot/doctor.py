"""`threadfly doctor`: what was tried, what came back, what to do. Checks are passed in by bootstrap."""

import asyncio
import errno
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from bot.datafolder import prepare_data_folder
from bot.domain import Delta, Finished, Prompt, PromptMessage, Role
from bot.errors import ModelRefusedKey, ModelRefusedRequest, ThreadflyError
from bot.logs import describe
from bot.ports import Model

CHECK_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    what: str
    tried: str
    came_back: str
    to_do: str = ""
    """Empty when there is nothing to do."""
    ok: bool = True


Look = Callable[[], Awaitable[Finding | Sequence[Finding]]]


@dataclass(frozen=True, slots=True)
class Check:
    """Something to look at. What `look` raises, and its silence, become findings too."""

    what: str
    tried: str
    look: Look


async def examine(checks: Sequence[Check]) -> list[Finding]:
    """Make every check, all at once; what they found, in order."""
    made = await asyncio.gather(*(_made(check) for check in checks))
    return [finding for findings in made for finding in findings]


async def _made(check: Check) -> Sequence[Finding]:
    def failed(came_back: str, to_do: str) -> Sequence[Finding]:
        return [Finding(check.what, check.tried, came_back, to_do, ok=False)]

    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            found = await check.look()
    except TimeoutError:
        return failed(
            f"nothing within {CHECK_TIMEOUT_S:g} s", "See whether it runs and can be reached from here."
        )
    except ThreadflyError as error:
        return failed(str(error), "Do what the sentence says, then run this again.")
    except Exception as error:  # noqa: BLE001  # a check that breaks is a finding, and the others go on
        return failed(describe(error), "This check itself broke; please report it.")
    return [found] if isinstance(found, Finding) else found


def data_folder(path: Path) -> Check:
    """The data folder can be written."""
    tried = f"wrote a file to {path.absolute()}"

    async def look() -> Finding:
        await asyncio.to_thread(prepare_data_folder, path)
        return Finding("data folder", tried, "it worked")

    return Check("data folder", tried, look)


def http_port(host: str, port: int) -> Check:
    """The HTTP server can listen, or is the one that does."""
    tried = f"listened on {host}, port {port}"

    async def look() -> Finding:
        try:
            server = await asyncio.start_server(_hang_up, host, port)
        except OSError as error:
            if error.errno == errno.EADDRINUSE and await _is_threadfly(host, port):
                return Finding("http", tried, "Threadfly runs there already")
            said = "taken by another program" if error.errno == errno.EADDRINUSE else str(error.strerror)
            to_do = "Set http.port and http.host to what is free here."
            return Finding("http", tried, said, to_do, ok=False)
        server.close()
        await server.wait_closed()
        return Finding("http", tried, "it is free")

    return Check("http", tried, look)


def probed(what: str, tried: str, probe: Callable[[], Awaitable[str]], to_do: str) -> Check:
    """A part that tells by itself: "" when all is well, else what is wrong with it."""

    async def look() -> Finding:
        if wrong := await probe():
            return Finding(what, tried, wrong, to_do, ok=False)
        return Finding(what, tried, "all is well")

    return Check(what, tried, look)


def model(port: Model, name: str, address: str) -> Check:
    """The model answers a prompt of one word."""
    what, tried = f"model {name}", f"asked it one word at {address}"

    def failed(error: Exception, to_do: str) -> Finding:
        return Finding(what, tried, _with_status(error), to_do, ok=False)

    async def look() -> Finding:
        try:
            said = await _first_answer(port, name)
        except ModelRefusedKey as error:
            return failed(error, "Set the variable that llm.api_key_env names to a key that holds.")
        except ModelRefusedRequest as error:
            return failed(error, "Set llm.model to a model of that server, and llm.base_url to its /v1.")
        except ThreadflyError as error:
            return failed(error, "See whether llm.base_url is right and its server runs.")
        return Finding(what, tried, said)

    return Check(what, tried, look)


def offline_model() -> Check:
    """Nothing is configured, which is no failure."""

    async def look() -> Finding:
        to_do = "For real answers set OPENAI_API_KEY or OPENAI_BASE_URL."
        return Finding("model", "nothing: no model is set", "the offline model answers", to_do)

    return Check("model", "nothing", look)


async def _first_answer(port: Model, name: str) -> str:
    """Ask, and hang up at the first sign of an answer, which is all that one needs to pay for."""
    prompt = Prompt((PromptMessage(Role.USER, "Say: ok"),), shown=1, left_out=0, first=0)
    async with aclosing(port.stream(prompt, name)) as chunks:
        async for chunk in chunks:
            if isinstance(chunk, Delta | Finished):
                return "an answer"
    return "nothing"


def _with_status(error: Exception) -> str:
    """The error's sentence, with the HTTP status where a server gave one."""
    status = getattr(error.__cause__, "status", None)
    return f"{error} (HTTP {status})" if status else str(error)


async def _hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def _is_threadfly(host: str, port: int) -> bool:
    try:
        async with asyncio.timeout(2):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(f"GET /healthz HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
                return b'"threadfly"' in await reader.read(1000)
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False
