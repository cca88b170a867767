"""A turn on Discord, from the mention to the whole answer, beside a bare discord.py client.

Ours records, answers from the thread's window with a model that answers at once, and archives; on
SQLite and the embedded Redis. The bare one (`bare.py`) sends a fixed reply to each mention. Both run by
turns over the same fake Discord; each of the three is a process of its own. There are no rate limits.

Two kinds of turns are told apart. The mentions that both clients are measured by are said in threads
that are there: one call to Discord for each. `opening` is a mention in a channel: ours opens a thread
from it first, so it makes two calls, where the bare client makes one; its share is of that same floor.

Ours is measured once it has caught up, which it does two seconds after it connected, and once: the threads
that were spoken in until then would be read again while their turns are counted.
"""

import statistics
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from adapters.discord.platform import DiscordPlatform
from benchmarks.bare import bare
from benchmarks.crowd import Remote, crowd
from benchmarks.measuring import Size
from benchmarks.stage import wire, work
from bot import process
from storage.archive.watermarks import SqlWatermarks
from tests.fakes.discord import TOKEN

SHOWN = ("sequential_*", "at_once_*", "share_*", "cpu_*")
AT_ONCE = 64

Rates = dict[str, float]


async def measure(size: Size) -> dict[str, float]:
    """Turns a second, one at a time and 64 at once; `share` is ours of the bare client's."""
    found: dict[str, list[Rates]] = {"bare": [], "ours": []}
    async with crowd() as people:
        for _ in range(size.pick(1, 3, 5)):
            async with bare("discord", people.api_url) as floor:
                await people.call("ready")
                found["bare"].append(await _rates(people, size, floor.cpu_s, opens=False))
            async with _ours(people):
                await people.call("ready")
                process.settle()
                found["ours"].append(await _rates(people, size, time.process_time, opens=True))
        assert await people.call("violations") == []
    theirs, ours = _medians(found["bare"]), _medians(found["ours"])
    results = {
        key.replace("_per_s", f"_{name}_per_s").replace("_ms", f"_{name}_ms"): number
        for name, rates in (("bare", theirs), ("ours", ours))
        for key, number in rates.items()
    }
    for key in ("sequential", "at_once"):
        floor = theirs[f"{key}_per_s"]
        results[f"share_{key}"] = ours[f"{key}_per_s"] / floor
        results[f"share_{key}_opening"] = ours[f"{key}_opening_per_s"] / floor
    return results


async def _rates(people: Remote, size: Size, cpu_s: Callable[[], float], *, opens: bool) -> Rates:
    each, alone = size.pick(2, 10, 30), size.pick(5, 60, 200)
    rates: Rates = {}
    for suffix, anew in (("", False), ("_opening", True)) if opens else (("", False),):
        await people.call("ask", at_once=AT_ONCE, each=2, anew=anew)
        seconds = await people.call("ask", at_once=1, each=alone, anew=anew)
        rates[f"sequential{suffix}_per_s"] = alone / seconds
        cpu = cpu_s()
        together = await people.call("ask", at_once=AT_ONCE, each=each, anew=anew)
        rates[f"cpu{suffix}_ms"] = (cpu_s() - cpu) / (AT_ONCE * each) * 1000
        rates[f"at_once{suffix}_per_s"] = AT_ONCE * each / together
    return rates


def _medians(rounds: list[Rates]) -> Rates:
    return {key: statistics.median(rates[key] for rates in rounds) for key in rounds[0]}


@asynccontextmanager
async def _ours(people: Remote) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        wired = await wire(stack)
        platform = DiscordPlatform(TOKEN, SqlWatermarks(wired.database), api_url=people.api_url)
        service = wired.core.service
        service.serve({platform.name: platform})
        stack.push_async_callback(platform.close)
        work(stack, wired.core)
        await platform.open(service.handle, service.order)
        stack.push_async_callback(platform.quiet)
        await platform._catching_up.caught_up.wait()
        yield
