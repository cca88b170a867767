"""Who gets an answer: what operators allow, and how much of it."""

from dataclasses import replace

from bot.access import Access
from bot.domain import Addressed, Said
from bot.ports import Limiter
from bot.words import NOT_FOR_YOU, too_fast

_OUTRIGHT = (Addressed.MENTION, Addressed.DIRECT)


class Gate:
    """Looks at what was said before it is recorded."""

    def __init__(self, access: Access, limiter: Limiter) -> None:
        self._access = access
        self._limiter = limiter

    async def admit(self, said: Said) -> tuple[Said | None, str]:
        """What is to be recorded (None: nothing), and the sentence for whoever is refused an answer.

        A place where the bot does not work is none of its business. A person who gets no answer is
        still kept where the thread is a session: others see what was said there.
        """
        if not self._access.place(said):
            return None, ""
        if said.addressed is Addressed.ASIDE or not said.answer:
            return said, ""
        author = said.message.author.id
        if not self._access.person(said):
            aside = replace(said, addressed=Addressed.ASIDE)
            return aside, NOT_FOR_YOU if said.addressed in _OUTRIGHT else ""
        if author in self._access.admins:
            return said, ""
        wait_s = await self._limiter.wait_s(said.key.platform, said.key.workspace, author)
        if wait_s > 0:
            return replace(said, answer=False), too_fast(wait_s)
        return said, ""
