"""Counting for Prometheus. Labels come from closed sets: never a workspace, a person or a text."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector

from bot.observing import TurnEnd

OTHER = "other"
TURN_BUCKETS_S = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320)
FIRST_TEXT_BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40)
TOKENS_OF_PRICE = 1_000_000


class Metrics:
    """An `Observer` that keeps its counts in a registry of its own.

    `prices` has every model's name, with what a million prompt and completion tokens cost.
    """

    def __init__(self, prices: Mapping[str, tuple[float, float]]) -> None:
        self.registry = CollectorRegistry()
        self._prices = prices
        ProcessCollector(registry=self.registry)
        self._turns = self._counter("turns", "Turns that ended", "platform", "model", "outcome")
        self._tokens = self._counter("tokens", "Tokens that models took and gave", "model", "kind")
        self._cost = self._counter("cost", "What the tokens cost, in the currency of llm.models", "model")
        self._hot = self._counter("hot_reads", "Windows asked for", "result")
        self._archived = self._counter("archived_messages", "Messages committed", "platform")
        self._feedback = self._counter("feedback", "Judgements of answers", "platform", "verdict")
        self._seconds = self._histogram("turn_seconds", "From claim to whole reply", TURN_BUCKETS_S)
        self._first = self._histogram(
            "first_text_seconds", "From asking the model to its first words", FIRST_TEXT_BUCKETS_S
        )

    def turn_ended(self, end: TurnEnd) -> None:
        """Count a turn, its times, its tokens and what they cost."""
        model = end.model if end.model in self._prices else OTHER
        self._turns.labels(end.platform, model, end.outcome.value).inc()
        self._seconds.labels(end.platform).observe(end.seconds)
        if end.first_text_s is not None:
            self._first.labels(end.platform).observe(end.first_text_s)
        counts = (end.usage.prompt_tokens or 0, end.usage.completion_tokens or 0)
        for kind, count in zip(("prompt", "completion"), counts, strict=True):
            self._tokens.labels(model, kind).inc(count)
        prices = self._prices.get(model, (0.0, 0.0))
        paid = sum(count * price for count, price in zip(counts, prices, strict=True))
        self._cost.labels(model).inc(paid / TOKENS_OF_PRICE)

    def hot_read(self, hit: bool) -> None:
        """Count a window that was hot, or was not."""
        self._hot.labels("hit" if hit else "miss").inc()

    def archived(self, platform: str, count: int) -> None:
        """Count messages that were committed."""
        self._archived.labels(platform).inc(count)

    def feedback(self, platform: str, good: bool) -> None:
        """Count a thumb up or down."""
        self._feedback.labels(platform, "good" if good else "bad").inc()

    def _counter(self, name: str, help_: str, *labels: str) -> Counter:
        return Counter(f"threadfly_{name}", help_, labels, registry=self.registry)

    def _histogram(self, name: str, help_: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"threadfly_{name}", help_, ("platform",), buckets=buckets, registry=self.registry)
