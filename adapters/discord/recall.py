"""Recall where Discord has a command and buttons for it. What is shown is for who asked, alone."""

import logging
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from adapters.discord import events, found, hooks, recall_command
from adapters.discord.asides import RECALL_CLOSED
from adapters.discord.found import Press, Verb
from adapters.discord.hooks import Hook
from adapters.discord.memberships import Memberships
from adapters.discord.places import Places, Spot
from adapters.discord.rest import Payload, Rest
from adapters.discord.sending import BESIDE, MESSAGES, NO_PINGS, SUPPRESS_EMBEDS
from adapters.discord.shelf import DiscordShelf
from adapters.outcome import outcome
from adapters.posts import Throttled
from bot.domain import Author, SessionKey
from bot.errors import PlatformError
from bot.finding import Bookmark, Page, Question, Recaller, Side
from bot.recent import Recent
from bot.sharing import Quote, Sharer

log = logging.getLogger(__name__)

COMMAND, COMPONENT, AUTOCOMPLETE, SUBMITTED = 2, 3, 4, 5
"""Types of interactions."""
REMEMBERED = 2_000
"""Questions whose buttons work; the one that was not used for longest goes first."""
REMEMBERED_S = 3_600.0

NOT_HERE = "I can't look things up here."
NOT_FOR_YOU = "I am not set up to answer you here. Whoever runs me can change that."
ASK_AGAIN = "I don't remember that question any more. Please ask again with `/recall`."

May = Callable[[Author, frozenset[str] | None], bool]
"""Whether the operator lets a person use the bot; None: the person's roles are not known."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, and what its answer shows."""

    question: Question
    as_of: datetime | None
    """Of its pages; None while there is no other than the first."""
    until: float
    direct: bool
    """The answer is a direct message, not one that only the asker is shown."""
    skip: int = 0
    hits: Mapping[int, SessionKey] = field(default_factory=dict)
    """Position and session of those on the page."""
    for_all: frozenset[int] = frozenset()
    """Those that may be shown to everybody."""
    hit: int = 0
    """The one around which is read."""
    offer: str = ""
    """Names the last question whether it shall be shown, so that one yes shows it once."""


class Recalls:
    """Takes the interactions of recall, and shows its pages."""

    def __init__(
        self,
        rest: Rest,
        places: Places,
        memberships: Memberships,
        shelf: DiscordShelf,
        recall: Recaller | None,
        sharing: Sharer | None,
        may: May,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rest = rest
        self._places = places
        self._memberships = memberships
        self._shelf = shelf
        self._recall = recall
        self._sharing = sharing
        self._may = may
        self._clock = clock
        self._asked: Recent[str, Asked] = Recent(REMEMBERED)

    async def take(self, payload: Payload) -> bool:
        """Answer an interaction if it is one of recall's; whether it is."""
        if self._recall is None:
            return False
        data = payload.get("data") or {}
        kind, named = payload["type"], data.get("name") == recall_command.NAME
        press = found.read(data.get("custom_id") or "") if kind == COMPONENT else None
        if press is not None:
            await self._press(payload, press, self._recall)
        elif kind == COMMAND and named:
            await self._ask(payload, recall_command.words(data), self._recall)
        elif kind == COMMAND and data.get("name") == recall_command.ON_MESSAGE:
            await Hook(self._rest, payload).ask(recall_command.window())
        elif kind == SUBMITTED and data.get("custom_id") == recall_command.WINDOW:
            await self._ask(payload, recall_command.typed(data), self._recall)
        elif kind == AUTOCOMPLETE and named:
            await Hook(self._rest, payload).suggest(recall_command.suggestions(data))
        else:
            return False
        return True

    # ---- the command

    async def _ask(self, payload: Payload, words: str, recall: Recaller) -> None:
        hook = Hook(self._rest, payload)
        await hook.think()
        answer = await outcome(self._first(payload, words, recall))
        await hook.change({"content": answer} if isinstance(answer, str) else answer)

    async def _first(self, payload: Payload, words: str, recall: Recaller) -> Payload | str:
        spot = await hooks.spot(self._places, payload)
        if spot is None:
            return NOT_HERE
        by = hooks.person(payload)
        if not self._let(payload, spot, by):
            return NOT_FOR_YOU
        question = Question(by, spot.key(spot.id), words)
        asked = Asked(question, None, self._clock() + REMEMBERED_S, direct=False)
        return await self._page(recall, secrets.token_hex(6), asked, 0)

    def _let(self, payload: Payload, spot: Spot, by: Author) -> bool:
        """Whether the person may use the bot; an interaction also tells who they are in the guild now."""
        if spot.guild is None:
            return self._may(by, None)
        if "member" in payload:
            self._memberships.met(spot.guild, payload["member"])
        category = frozenset() if spot.category is None else {str(spot.category)}
        return self._may(by, events.roles(payload) | category)

    # ---- buttons

    async def _press(self, payload: Payload, press: Press, recall: Recaller) -> None:
        hook = Hook(self._rest, payload)
        await hook.take_press()
        answer = await outcome(self._turned(payload, press, recall))
        if isinstance(answer, str):
            await hook.say(answer)
        else:
            await hook.change(answer)

    async def _turned(self, payload: Payload, press: Press, recall: Recaller) -> Payload | str:
        spot, by = await hooks.spot(self._places, payload), hooks.person(payload)
        asked = self._asked.get(press.token)
        if spot is None or asked is None or asked.until < self._clock() or asked.question.by.id != by.id:
            return ASK_AGAIN
        if not self._let(payload, spot, by):
            return NOT_FOR_YOU
        match press.verb:
            case Verb.PAGE:
                return await self._page(recall, press.token, asked, press.number)
            case Verb.READ:
                return await self._excerpt(
                    recall, press.token, replace(asked, hit=press.number), Side(press.number)
                )
            case Verb.OLDER | Verb.NEWER:
                step = -1 if press.verb is Verb.OLDER else 1
                return await self._excerpt(recall, press.token, asked, Side(press.number, step))
            case _:
                return await self._shared(press, asked)

    async def _shared(self, press: Press, asked: Asked) -> Payload | str:
        """Do something that others see with a hit."""
        question, key, sharing = asked.question, asked.hits.get(press.number), self._sharing
        if key is None or sharing is None:
            return ASK_AGAIN
        match press.verb:
            case Verb.OFFER:
                offered = await sharing.offer(question, key, press.number)
                if not isinstance(offered, Quote):
                    return found.sentence_text(offered)
                self._asked.put(press.token, replace(asked, offer=secrets.token_hex(6)))
                buttons = found.asking_buttons(press.token, press.number)
                return _message(found.asking_text(offered), buttons, asked)
            case Verb.SHOW:
                gesture = f"{press.token}:{asked.offer}"
                said = await sharing.show(question, key, press.number, gesture)
            case _:
                said = await sharing.go_on(question, key, f"{press.token}:{key}")
        return _message(found.sentence_text(said), found.back_buttons(press.token, asked.skip), asked)

    # ---- what is shown

    async def _page(self, recall: Recaller, token: str, asked: Asked, skip: int) -> Payload | str:
        mark = Bookmark(asked.as_of, skip) if asked.as_of else None
        page = await recall.ask(asked.question, mark)
        return page if isinstance(page, str) else self._shown(token, replace(asked, skip=skip), page)

    def _shown(self, token: str, asked: Asked, page: Page) -> Payload:
        hits = {shown.hit.line.position: shown.hit.talk.key for shown in page.found}
        for_all = frozenset(shown.hit.line.position for shown in page.found if shown.for_all)
        mark = page.earlier or page.later
        as_of = mark.as_of if mark else asked.as_of
        self._asked.put(token, replace(asked, as_of=as_of, hits=hits, for_all=for_all))
        return _message(found.page_text(page), found.page_buttons(page, token, list(hits)), asked)

    async def _excerpt(self, recall: Recaller, token: str, asked: Asked, side: Side) -> Payload | str:
        key = asked.hits.get(asked.hit)
        if key is None:
            return ASK_AGAIN
        excerpt = await recall.look(asked.question, key, side)
        if isinstance(excerpt, str):
            return excerpt
        self._asked.put(token, asked)
        first = excerpt.lines[0].position if excerpt.lines else side.position
        text = found.excerpt_text(excerpt, asked.hit, await self._shelf.link(key, first))
        for_all = asked.hit in asked.for_all
        sharing = found.sharing_buttons(token, asked.hit, for_all=for_all) if self._sharing else ()
        return _message(text, found.excerpt_buttons(excerpt, token, asked.skip, sharing), asked)

    # ---- asked in words

    async def show(self, question: Question, page: Page) -> None:
        """Show a page to who asked in words, by direct message; where those are closed, say what works."""
        asked = Asked(question, None, self._clock() + REMEMBERED_S, direct=True)
        body = self._shown(secrets.token_hex(6), asked, page)
        try:
            channel = await self._shelf.direct_channel(int(question.by.id))
            await self._post(channel, body)
        except (PlatformError, Throttled):
            await self._say_what_works(question.at)

    async def _say_what_works(self, at: SessionKey) -> None:
        try:
            channel = await self._shelf.home(at, 0)
            await self._post(int(channel), {"content": RECALL_CLOSED, **BESIDE})
        except (PlatformError, Throttled):
            log.info("what was found can't be shown", extra={"event": "untold", "session": str(at)})

    async def _post(self, channel: int, body: Payload) -> None:
        body = {**body, "allowed_mentions": NO_PINGS}
        await self._rest.call("POST", MESSAGES, body=body, tries=1, channel_id=channel)


def _message(text: str, components: list[Payload], asked: Asked) -> Payload:
    """In a direct message the text is an embed: it is no part of the conversation there."""
    if asked.direct:
        return {"embeds": [{"description": text}], "components": components}
    return {"content": text, "components": components, "flags": SUPPRESS_EMBEDS}
