"""The models that people can choose from, behind the one port: retried, and handed on when they fail."""

import asyncio
import gc
import logging
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bot.domain import Chunk, Delta, ModelCard, Prompt, Restart, Usage

from .failures import FOR_THE_OPERATOR, Failed
from .loggers import quiet_loggers
from .models import ModelSettings

if TYPE_CHECKING:
    from .bench import Bench

log = logging.getLogger(__name__)

PRICED_TOKENS = 1_000_000
"""Prices are for so many."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long one model is tried before the next one is asked."""

    tries: int = 3
    within_s: float = 60.0
    """No further try once the answer has been waited for so long."""
    backoff_s: float = 0.5
    """The first wait, which doubles. Each is cut by up to a half, lest many turns come back at once."""
    most_wait_s: float = 20.0
    """A server that wants a longer wait than this (`Retry-After`) is not asked again."""

    def wait_s(self, failure: Failed, tried: int, spent_s: float) -> float | None:
        """How long to wait before the next try; None: don't."""
        if not failure.passing or tried >= self.tries:
            return None
        jitter = random.uniform(0.5, 1.0)
        if failure.wait_s is None:
            wait_s = self.backoff_s * 2 ** (tried - 1) * jitter
        else:
            wait_s = failure.wait_s + self.backoff_s * jitter
        return wait_s if wait_s <= self.most_wait_s and spent_s + wait_s <= self.within_s else None


class Roster:
    """The `Model` port over every configured model."""

    def __init__(
        self,
        models: Sequence[ModelSettings],
        default: str,
        fallbacks: Sequence[str] = (),
        *,
        patience: Patience = Patience(),
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        pace_s: float | None = None,
    ) -> None:
        """No I/O and no heavy import: see `warm`.

        `default` and `fallbacks` are names among `models`; the latter are asked in their order when
        the chosen one fails. `pace_s` is the time in which streamed text is merged, None for the usual.
        """
        self._models = {each.name: each for each in models}
        self._default = self._models[default]
        self._fallbacks = tuple(self._models[name] for name in fallbacks)
        self._patience = patience
        self._sleep = sleep
        self._pace_s = pace_s
        self._loading: asyncio.Task[Bench] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """What people can choose, in the order of the settings."""
        return tuple(self._models)

    def card(self, name: str) -> ModelCard:
        """What is known of `name`; of the default model for "" and for what is not configured any more."""
        return self._settings(name).card

    def cost(self, usage: Usage) -> float:
        """What an answer cost, in the currency of the configured prices; 0 where none are set."""
        settings = self._settings(usage.model)
        prompt = (usage.prompt_tokens or 0) * settings.prompt_price
        completion = (usage.completion_tokens or 0) * settings.completion_price
        return (prompt + completion) / PRICED_TOKENS

    async def warm(self) -> None:
        """Import what is heavy, for seconds, in a worker thread. The first answer waits for it too."""
        await self._bench()

    async def close(self) -> None:
        """Close every connection. After the last answer."""
        if self._loading is not None:
            await (await self._loading).close()

    async def stream(self, prompt: Prompt, name: str) -> AsyncGenerator[Chunk, None]:
        """See the port. `Usage.model` is the name of the model that answered, which may be a fallback."""
        bench = await self._bench()
        verdicts: list[Failed] = []
        shown = False
        for settings in self._candidates(prompt, name):
            tries = _Tries(self._patience, self._sleep)
            while True:
                if shown:
                    shown = False
                    yield Restart()
                try:
                    async with aclosing(bench.chat(settings.name).stream(prompt)) as chunks:
                        async for chunk in chunks:
                            shown = shown or isinstance(chunk, Delta)
                            yield chunk
                except Failed as failed:
                    failure = failed
                else:
                    return
                _tell(settings.name, failure)
                if not await tries.again(failure):
                    break
            verdicts.append(failure)
            if not failure.hands_on:
                break
        raise verdicts[0].error()

    def _settings(self, name: str) -> ModelSettings:
        return self._models.get(name, self._default)

    def _candidates(self, prompt: Prompt, name: str) -> list[ModelSettings]:
        """The chosen model, and those after it that the prompt, which was written for it, fits."""
        chosen = self._settings(name)
        return [chosen, *(each for each in self._fallbacks if each is not chosen and each.fits(prompt))]

    async def _bench(self) -> "Bench":
        if self._loading is None:
            self._loading = asyncio.create_task(asyncio.to_thread(self._load))
        return await asyncio.shield(self._loading)

    def _load(self) -> "Bench":
        from .bench import Bench

        # What was imported stays for good. A full collection that looks at it each time holds up everything
        # else for a tenth of a second.
        gc.freeze()
        quiet_loggers()  # the import obeys OPENAI_LOG, whatever was set before
        return Bench(tuple(self._models.values()), self._pace_s)


class _Tries:
    """The tries of one model for one answer."""

    def __init__(self, patience: Patience, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._patience = patience
        self._sleep = sleep
        self._begun = time.monotonic()
        self._tried = 0

    async def again(self, failure: Failed) -> bool:
        """Wait, and be true, if the model is worth another try after `failure`."""
        self._tried += 1
        wait_s = self._patience.wait_s(failure, self._tried, time.monotonic() - self._begun)
        if wait_s is None:
            return False
        await self._sleep(wait_s)
        return True


def _tell(name: str, failure: Failed) -> None:
    level = logging.ERROR if failure.cause in FOR_THE_OPERATOR else logging.WARNING
    log.log(
        level,
        "Model %s gave no answer: %s (status %s).",
        name,
        failure.cause.value,
        failure.status,
        extra={
            "event": "model_failed",
            "model": name,
            "cause": failure.cause.value,
            "status": failure.status,
        },
    )
