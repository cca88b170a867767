"""Response URLs of the fake Slack: where an answer to a command or a button goes, for a while."""

from collections.abc import Callable
from dataclasses import dataclass, field

from tests.fakes.slack.world import Json, new_id

LIFE_S = 1_800.0
MOST_USES = 5


@dataclass(frozen=True, slots=True)
class Source:
    """The post below which something was pressed: what `replace_original` replaces."""

    team: str
    channel: str
    ts: str


@dataclass(slots=True)
class Given:
    """One URL that was given out."""

    at: float
    source: Source | None
    uses: list[Json] = field(default_factory=list)


class ResponseUrls:
    """Gives them out, and says what Slack would say to who uses one."""

    def __init__(self, now: Callable[[], float]) -> None:
        """`now` is in Slack's seconds."""
        self._now = now
        self.life_s = LIFE_S
        self._given: dict[str, Given] = {}

    def new(self, source: Source | None = None) -> str:
        """The id of a new one."""
        id = new_id("r")
        self._given[id] = Given(self._now(), source)
        return id

    def use(self, id: str, body: Json) -> tuple[str, Source | None]:
        """Why Slack refuses it ("" if it does not), and what the answer is about."""
        given = self._given.get(id)
        if given is None:
            return "invalid_url", None
        if self._now() - given.at > self.life_s:
            return "expired_url", None
        if len(given.uses) == MOST_USES:
            return "used_url", None
        given.uses.append(body)
        return "", given.source
