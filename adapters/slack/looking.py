"""Looking things up on Slack: the answer is for who asked alone, and its buttons replace it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

import aiohttp

from adapters.outcome import outcome
from adapters.posts import Throttled
from adapters.slack import content, picks, recall, sharing, views
from adapters.slack.client import Client
from adapters.slack.deeds import Deed, Verb, pressed
from adapters.slack.errors import Refused
from adapters.slack.events import FLAT, is_direct
from adapters.slack.names import Names
from adapters.slack.workspaces import Installation
from bot.domain import Author, SessionKey
from bot.errors import PlatformError
from bot.finding import Page, Question, Recaller
from bot.sharing import Quote, Sharer
from bot.words import NOT_FOR_YOU

HTTP_OK = 200
AT_ONCE_S = 1.2
"""A command that takes longer is answered at its response URL."""

log = logging.getLogger(__name__)

Json = Mapping[str, Any]
May = Callable[[Author, frozenset[str] | None], bool]


class Looking:
    """Takes commands and buttons of recall to the core, and shows what comes back."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        asking: Recaller,
        sharing: Sharer | None,
        names: Names,
        may: May,
    ) -> None:
        """`may`: whether a person may command the bot, by id and groups."""
        self._session = session
        self._recall = asking
        self._sharing = sharing
        self._names = names
        self._may = may

    async def command(
        self,
        body: Json,
        words: str,
        installation: Installation,
        later: Callable[[Coroutine[Any, Any, None]], None],
    ) -> Json:
        """What a slash command is answered with; empty where the answer follows at the response URL."""
        by, groups = Author(body.get("user_id") or "", body.get("user_name") or ""), _groups(body)
        question = Question(by, picks.place_of(body, installation.me.workspace, FLAT), words)
        answer = asyncio.ensure_future(
            self._answer(groups, by, self._page(question, picks.Asked(words, FLAT)))
        )
        done, _ = await asyncio.wait([answer], timeout=AT_ONCE_S)
        if done:
            return _alone(answer.result())
        later(self._follow(answer, body.get("response_url") or ""))
        return {}

    async def press(self, body: Json, installation: Installation) -> None:
        """Put what a button asks for in the place of what was shown."""
        pick = picks.pressed(body)
        if pick is None:
            return
        user = body.get("user") or {}
        by = Author(user.get("id") or "", user.get("username") or "")
        at = picks.place_of(body, installation.me.workspace, pick.thread)
        answer = await self._answer(_groups(user), by, self._picked(pick, by, at))
        await self._respond(body.get("response_url") or "", answer, posted=_is_post(body, at))

    async def share(self, body: Json, installation: Installation) -> None:
        """Do what a button asks for that others see, and tell who pressed it what came of that."""
        deed = pressed(body, installation.me.workspace)
        if deed is None or self._sharing is None:
            return
        response_url = body.get("response_url") or ""
        if deed.verb is Verb.LEAVE:
            await self._sent(response_url, {"delete_original": True})
            return
        user = body.get("user") or {}
        id = user.get("id") or ""
        names = await self._names.of(installation, frozenset({id}))
        by = Author(id, names.get(id) or user.get("username") or "")
        answer = await self._answer(_groups(user), by, _shared(deed, by, self._sharing))
        await self._respond(response_url, answer, replace=deed.verb is Verb.SHOW)

    async def open_view(self, body: Json, installation: Installation) -> None:
        """Ask in a window for what to look up, where no command can be typed."""
        view = views.asking(body, installation.me)
        if view is None:
            return
        try:
            await installation.client.call("views.open", trigger_id=body.get("trigger_id"), view=view)
        except (PlatformError, Throttled) as exc:
            log.info("No window was opened: %s", type(exc).__name__, extra={"event": "slack.no_view"})
            await self._respond(body.get("response_url") or "", content.told(views.LATE), replace=False)

    async def submitted(self, body: Json, installation: Installation) -> None:
        """Answer what was typed into such a window, alone, where it was opened."""
        asked = views.submitted(body, installation.me)
        if asked is None:
            return
        user = body.get("user") or {}
        by = Author(user.get("id") or "", user.get("name") or user.get("username") or "")
        question = Question(by, asked.at, asked.words)
        found: Page | str = NOT_FOR_YOU
        if self._may(by, _groups(user)):
            found = await outcome(self._recall.ask(question))
        if isinstance(found, Page):
            await show_found(installation.client, question, found)
        else:
            await tell_alone(installation.client, question.at, by.id, found)

    async def _answer(
        self, groups: frozenset[str] | None, by: Author, found: Coroutine[Any, Any, Json]
    ) -> Json:
        if not self._may(by, groups):
            found.close()
            return content.told(NOT_FOR_YOU)
        answer = await outcome(found)
        return content.told(answer) if isinstance(answer, str) else answer

    async def _page(self, question: Question, asked: picks.Asked) -> Json:
        found = await self._recall.ask(question, asked.bookmark)
        if isinstance(found, str):
            return content.told(found)
        return recall.page_message(found, question, asked.bookmark)

    async def _picked(self, pick: picks.Pick, by: Author, at: SessionKey) -> Json:
        if pick.side is None:
            assert pick.asked is not None
            return await self._page(Question(by, at, pick.asked.words), pick.asked)
        key = SessionKey(at.platform, at.workspace, pick.channel, pick.talk)
        found = await self._recall.look(Question(by, at, ""), key, pick.side)
        return content.told(found) if isinstance(found, str) else recall.excerpt_message(found, pick)

    async def _follow(self, answer: Awaitable[Json], response_url: str) -> None:
        await self._respond(response_url, await answer, replace=False)

    async def _respond(
        self, response_url: str, answer: Json, *, replace: bool = True, posted: bool = False
    ) -> None:
        """`posted`: what is replaced is a post in their direct messages, which has to keep its mark."""
        if not response_url:
            return
        message = (_marked(answer) if posted else _alone(answer)) | {"replace_original": replace}
        status = await self._sent(response_url, message)
        if status != HTTP_OK:
            log.warning("Slack did not take an answer: %d", status, extra={"event": "slack.response_refused"})
            await self._sent(response_url, {name: each for name, each in message.items() if name != "blocks"})

    async def _sent(self, response_url: str, message: Json) -> int:
        async with self._session.post(response_url, json=message) as answer:
            await answer.read()
            return answer.status


def _alone(answer: Json) -> dict[str, Any]:
    return {"response_type": "ephemeral", "text": answer["text"], "blocks": answer["blocks"]}


def _marked(answer: Json) -> dict[str, Any]:
    return {"text": answer["text"], "blocks": answer["blocks"], "metadata": content.ASIDE}


def _is_post(body: Json, at: SessionKey) -> bool:
    """Whether the button is below a post, as what was found is where nothing could be ephemeral."""
    return is_direct(at.channel) and not (body.get("container") or {}).get("is_ephemeral")


def _groups(told: Json) -> frozenset[str] | None:
    return frozenset({told["team_id"]}) if told.get("team_id") else None


async def _shared(deed: Deed, by: Author, sharer: Sharer) -> Json:
    question = Question(by, deed.at, "")
    match deed.verb:
        case Verb.OFFER:
            offered = await sharer.offer(question, deed.key, deed.position)
            if isinstance(offered, Quote):
                return sharing.asking(offered, deed)
            return sharing.sentence(offered)
        case Verb.SHOW:
            return sharing.sentence(await sharer.show(question, deed.key, deed.position, deed.gesture))
        case _:
            return sharing.sentence(await sharer.go_on(question, deed.key, deed.gesture))


async def tell_alone(client: Client, key: SessionKey, person: str, text: str) -> None:
    """To one person alone, where they are; else in their direct messages; never to all.

    It may be what only this person may read. Said twice, after a broken call, is better than not at all.
    """
    said = content.told(text)
    alone = {name: value for name, value in said.items() if name != "metadata"}
    if await _is_thread(client, key):
        alone["thread_ts"] = key.thread
    try:
        await client.read("chat.postEphemeral", channel=key.channel, user=person, **alone)
    except Refused:
        await client.read("chat.postMessage", channel=person, **said)


async def show_found(client: Client, question: Question, page: Page) -> None:
    """Show a page to who asked, where they asked, or in direct messages. Raises `PlatformError`."""
    at, shown = question.at, recall.page_message(page, question, None)
    where: dict[str, Any] = {"channel": at.channel, "user": question.by.id}
    if await _is_thread(client, at):
        where["thread_ts"] = at.thread
    try:
        await _posted(client, "chat.postEphemeral", where, shown)
    except Refused:
        where = {"channel": question.by.id, "metadata": content.ASIDE}
        await _posted(client, "chat.postMessage", where, shown)


async def _is_thread(client: Client, at: SessionKey) -> bool:
    """Whether somebody replied there: below a message without replies nobody sees what is ephemeral.

    Source: Slack's reference of chat.postEphemeral ("only shown if there is already an active thread").
    """
    if at.thread == FLAT:
        return False
    try:
        where: dict[str, Any] = {"channel": at.channel, "ts": at.thread, "limit": 2}
        replies = await client.call("conversations.replies", **where)
    except (PlatformError, Throttled):
        return False
    return any(message.get("ts") != at.thread for message in replies.get("messages") or ())


async def _posted(client: Client, method: str, where: Json, shown: Json) -> None:
    """With blocks, or as a text where Slack refuses those."""
    try:
        await client.read(method, **where, **shown, link_names=False, parse="none")
    except Refused as refused:
        if "block" not in refused.code:
            raise
        await client.read(method, **where, text=shown["text"], link_names=False, parse="none")
