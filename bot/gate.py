"""Who gets an answer: what operators allow, and how much of it."""

import time
from collections.abc import Callable
from dataclasses import replace

from bot.access import Access
from bot.domain import Addressed, Author, Edited, Said, SessionKey
from bot.ports import Limiter
from bot.recent import Recent

_OUTRIGHT = (Addressed.MENTION, Addressed.DIRECT)
TOLD_S = 60.0
"""Nobody is told twice within this time that they get no answer."""
MOST_TOLD = 1_000
"""How many people it is remembered of."""


class Gate:
    """Judges what is said before it is recorded, and who may press and command."""

    def __init__(self, access: Access, limiter: Limiter, clock: Callable[[], float] = time.monotonic) -> None:
        self._access = access
        self._limiter = limiter
        self._clock = clock
        self._told: Recent[tuple[str, str], float] = Recent(MOST_TOLD)

    def admit(self, said: Said) -> Said | None:
        """What is to be recorded; None where the bot does not work.

        A person who gets no answer is kept as an aside: others in the thread read it too.
        """
        if not self._access.place(said.key, said.addressed, said.groups):
            return None
        if self._access.person(said.message.author.id, said.groups, said.addressed):
            return said
        return replace(said, addressed=Addressed.ASIDE)

    def edited(self, edited: Edited) -> Edited:
        """As it is to be recorded: where the bot does not work, no edit calls it."""
        if self._access.place(edited.key, edited.addressed, frozenset()):
            return edited
        return replace(edited, addressed=Addressed.ASIDE)

    def refuses(self, heard: Said, admitted: Said) -> bool:
        """Whether somebody who spoke to the bot outright gets no answer, and should hear of it."""
        return heard.addressed in _OUTRIGHT and admitted.addressed is Addressed.ASIDE

    def may(self, by: Author, groups: frozenset[str] | None = None) -> bool:
        """Whether a person may command and press buttons; where `groups` are unknown, by id alone."""
        return self._access.person(by.id, groups)

    def is_admin(self, by: Author) -> bool:
        """Whether a person may do what is otherwise left to those who started a thread."""
        return by.id in self._access.admins

    async def wait_s(self, key: SessionKey, by: Author) -> float:
        """0, and one more answer is counted; or the seconds until one more is allowed."""
        if self.is_admin(by):
            return 0.0
        return await self._limiter.wait_s(key.platform, key.workspace, by.id)

    def worth_telling(self, key: SessionKey, to: Author) -> bool:
        """Whether this person was not told lately why there is no answer; from now on they were."""
        who, now = (key.platform, to.id), self._clock()
        told = self._told.get(who)
        if told is not None and now - told < TOLD_S:
            return False
        self._told.put(who, now)
        return True
