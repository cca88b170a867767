"""Looking things up on Slack: the answer is for who asked alone, and its buttons replace it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

import aiohttp

from adapters.posts import Throttled
from adapters.slack import content, recall
from adapters.slack.client import Client
from adapters.slack.errors import Refused
from adapters.slack.events import FLAT
from adapters.slack.workspaces import Installation
from bot.domain import Author, SessionKey
from bot.errors import PlatformError, ThreadflyError
from bot.finding import Page, Question, Recaller
from bot.words import NOT_FOR_YOU

HTTP_OK = 200
AT_ONCE_S = 1.2
"""A command that takes longer is answered at its response URL."""

log = logging.getLogger(__name__)

Json = Mapping[str, Any]
May = Callable[[Author, frozenset[str] | None], bool]


class Looking:
    """Takes commands and buttons of recall to the core, and shows what comes back."""

    def __init__(self, session: aiohttp.ClientSession, asking: Recaller, may: May) -> None:
        """`may`: whether a person may command the bot, by id and groups."""
        self._session = session
        self._recall = asking
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
        question = Question(by, recall.place_of(body, installation.me.workspace, FLAT), words)
        answer = asyncio.ensure_future(
            self._answer(groups, by, self._page(question, recall.Asked(words, FLAT)))
        )
        done, _ = await asyncio.wait([answer], timeout=AT_ONCE_S)
        if done:
            return _alone(answer.result())
        later(self._follow(answer, body.get("response_url") or ""))
        return {}

    async def press(self, body: Json, installation: Installation) -> None:
        """Put what a button asks for in the place of what was shown."""
        pick = recall.pressed(body)
        if pick is None:
            return
        user = body.get("user") or {}
        by = Author(user.get("id") or "", user.get("username") or "")
        at = recall.place_of(body, installation.me.workspace, pick.thread)
        answer = await self._answer(_groups(user), by, self._picked(pick, by, at))
        await self._respond(body.get("response_url") or "", answer)

    async def _answer(
        self, groups: frozenset[str] | None, by: Author, found: Coroutine[Any, Any, Json]
    ) -> Json:
        if not self._may(by, groups):
            found.close()
            return content.told(NOT_FOR_YOU)
        try:
            return await found
        except ThreadflyError as exc:
            return content.told(str(exc))

    async def _page(self, question: Question, asked: recall.Asked) -> Json:
        found = await self._recall.ask(question, asked.bookmark)
        if isinstance(found, str):
            return content.told(found)
        return recall.page_message(found, question, asked.bookmark)

    async def _picked(self, pick: recall.Pick, by: Author, at: SessionKey) -> Json:
        if pick.side is None:
            assert pick.asked is not None
            return await self._page(Question(by, at, pick.asked.words), pick.asked)
        key = SessionKey(at.platform, at.workspace, pick.channel, pick.talk)
        found = await self._recall.look(Question(by, at, ""), key, pick.side)
        return content.told(found) if isinstance(found, str) else recall.excerpt_message(found, pick)

    async def _follow(self, answer: Awaitable[Json], response_url: str) -> None:
        await self._respond(response_url, await answer, replace=False)

    async def _respond(self, response_url: str, answer: Json, *, replace: bool = True) -> None:
        if not response_url:
            return
        message = _alone(answer) | {"replace_original": replace}
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


def _groups(told: Json) -> frozenset[str] | None:
    return frozenset({told["team_id"]}) if told.get("team_id") else None


async def show_found(client: Client, question: Question, page: Page) -> None:
    """Show a page to who asked, where they asked, or in direct messages. Raises `PlatformError`."""
    at, shown = question.at, recall.page_message(page, question, None)
    where: dict[str, Any] = {"channel": at.channel, "user": question.by.id}
    if await _is_thread(client, at):
        where["thread_ts"] = at.thread
    try:
        await _posted(client, "chat.postEphemeral", where, shown)
    except Refused:
        await _posted(client, "chat.postMessage", {"channel": question.by.id}, shown)


async def _is_thread(client: Client, at: SessionKey) -> bool:
    """Whether somebody replied there: below a message without replies nobody sees what is ephemeral."""
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
