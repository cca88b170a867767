"""Discord as a place where people talk to the bot."""

import asyncio
import logging
import random
from collections.abc import Sequence
from datetime import timedelta

import discord
import yarl

from adapters.cache import Cache, NoCache
from adapters.discord import addresses, commands
from adapters.discord.catching_up import EVERY_S, CatchingUp
from adapters.discord.client import Gateway, ended
from adapters.discord.departures import Departures
from adapters.discord.files import Files
from adapters.discord.gestures import Gestures
from adapters.discord.history import Past
from adapters.discord.memberships import Memberships
from adapters.discord.notices import Notices
from adapters.discord.pauses import IDENTIFY_PAUSE_S
from adapters.discord.people import People
from adapters.discord.places import PLATFORM, Places, Spot
from adapters.discord.posts import DiscordPosts
from adapters.discord.recall import May, Recalls
from adapters.discord.receiving import Receiver
from adapters.discord.rereading import Rereading
from adapters.discord.rest import Payload, Refused, Rest
from adapters.discord.rooms import Rooms
from adapters.discord.shelf import DiscordShelf
from adapters.discord.staging import Staging
from adapters.discord.taking import Takings
from adapters.discord.telling import Teller
from adapters.pacing import Pace
from adapters.posts import Throttled
from adapters.reply import PacedReply
from bot.domain import Attachment, Author, Event, History, Message, Receipt, SessionKey
from bot.errors import PlatformError, PlatformForbidden, PlatformUnavailable, PostGone
from bot.finding import Known, Page, Place, Question, Readable, Recaller
from bot.ports import Desk, Handler, Journal, Reply, Watermarks
from bot.sharing import Opened, Quote, Sharer
from bot.sharing_words import Sentence
from bot.taking import Taken, Taker, Wish

log = logging.getLogger(__name__)

COMMANDS = "/applications/{application_id}/commands"
DISCORDS_OWN = "discord.com"
LONGEST_PAUSE_S = 60.0
"""Between two tries to reach Discord for the first time."""


def small(sentence: str) -> str:
    """A sentence in Discord's small print."""
    return f"-# {sentence}"


class DiscordPlatform:
    """Implements `bot.ports.Platform` over one bot's token."""

    def __init__(
        self,
        token: str,
        watermarks: Watermarks,
        *,
        api_url: str = addresses.DEFAULT_API,
        shard_ids: Sequence[int] = (),
        shard_count: int | None = None,
        models: Sequence[str] = (),
        personas: Sequence[str] = (),
        allowed_bots: Sequence[str] = (),
        catch_up: bool = True,
        answer_within: timedelta = timedelta(minutes=15),
        recall: Recaller | None = None,
        taker: Taker | None = None,
        cache: Cache | None = None,
        sharing: Sharer | None = None,
        may: May = lambda by, groups: True,  # noqa: ARG005 - everybody may
        catch_up_every_s: float = EVERY_S,
        identify_pause_s: float = IDENTIFY_PAUSE_S,
        heartbeat_timeout_s: float = 60.0,
        guild_ready_s: float = 2.0,
    ) -> None:
        """`models` and `personas` are what `/model` and `/persona` offer.

        `may`: whom `/recall` and `/export` answer.

        `guild_ready_s`: how long after the last server came into sight they count as complete.
        """
        self._models, self._personas = tuple(models), tuple(personas)
        self._catch_up = catch_up
        self._connecting: asyncio.Task[None] | None = None
        url = yarl.URL(api_url)
        self._rest = Rest(token, api_url)
        self._departures = Departures(watermarks, self._pass_on)
        self._gateway = Gateway(
            self._rest,
            token,
            self._heard,
            self._begun,
            self._departures.counted,
            shard_ids,
            shard_count,
            identify_pause_s=identify_pause_s,
            heartbeat_timeout_s=heartbeat_timeout_s,
            guild_ready_s=guild_ready_s,
        )
        self._places = Places(self._rest, lambda: self._gateway.client)
        self._people = People(self._rest)
        notices = Notices(self._rest, watermarks)
        self._rooms = Rooms(self._rest, self._places, notices)
        self._teller = Teller(self._rest, cache or NoCache())
        self._files = Files(self._rest, "" if url.host == DISCORDS_OWN else url.authority)
        self._memberships = Memberships(self._rest)
        self._shelf = DiscordShelf(self._rest, self._places, self._memberships, self._gateway)
        self._takings = Takings(self._rest, self._places, self._shelf, taker, may)
        self._recalls = Recalls(
            self._rest, self._places, self._memberships, self._shelf, recall, sharing, may
        )
        self._staging = Staging(self._rest, self._places, self._shelf)
        self._gestures = Gestures(self._rest, self._places, self._recalls, self._takings)
        rereading = Rereading(self._rest, self._places, watermarks, self._as_said, self._pass_on)
        self._catching_up = CatchingUp(
            self._rest, self._places, watermarks, self._missed, self._gateway, rereading, catch_up_every_s
        )
        self._receiver = Receiver(
            self._places,
            self._people,
            self._rooms,
            self._teller,
            self._catching_up.met,
            self._gestures.take,
            self._catching_up.request,
            self._departures.left,
            notices,
            lambda: self._gateway.content,
            frozenset(allowed_bots),
            answer_within,
        )
        self._past = Past(self._rest, self._places, self._people, self._receiver.said)

    @property
    def name(self) -> str:
        return PLATFORM

    @property
    def reads_content(self) -> bool:
        """False: without the message content intent only mentions and direct messages can be read."""
        return self._gateway.content

    async def open(self, handler: Handler, desk: Desk) -> None:
        self._receiver.begin(handler)
        self._gestures.begin(handler, desk, self._receiver)
        try:
            await self._connect()
        except (PlatformUnavailable, Throttled) as error:
            self._out_of_reach(error)
            self._connecting = asyncio.create_task(self._keep_connecting(), name="discord connecting")

    async def _connect(self) -> None:
        await self._rest.open()
        await self._gateway.open()
        if self._catch_up:
            self._catching_up.begin()
        await self._tell_commands()

    async def _keep_connecting(self) -> None:
        """Other platforms must not wait for a Discord that is down."""
        pause_s = 0.25
        while True:
            await asyncio.sleep(random.uniform(0.75, 1.25) * pause_s)
            pause_s = min(LONGEST_PAUSE_S, 2 * pause_s)
            try:
                await self._connect()
            except (PlatformUnavailable, Throttled) as error:
                self._out_of_reach(error)
                continue
            except PlatformForbidden as refused:
                self._out_of_reach(refused)
            return

    def _out_of_reach(self, error: Exception) -> None:
        log.warning("Discord is not connected: %s", error, extra={"event": "discord_out_of_reach"})

    async def quiet(self) -> None:
        if self._connecting is not None:
            await ended(self._connecting)
        await self._catching_up.end()
        await self._gateway.close()
        await self._receiver.end()

    async def close(self) -> None:
        await self.quiet()
        await self._files.close()
        await self._rest.close()

    def ailing(self) -> str:
        return self._gateway.ailing()

    async def open_reply(self, journal: Journal) -> Reply:
        posts = DiscordPosts(self._rest, self._rooms, self._places, journal.turn)
        if not journal.turn.parts:
            self._rooms.check(journal.turn)
        reply = PacedReply(posts, journal, Pace(), small=small)
        await reply.open()
        return reply

    async def history(self, key: SessionKey, before: int, limit: int) -> History:
        try:
            return await self._past.before(key, before, limit)
        except Throttled as throttled:
            raise PlatformUnavailable(f"Discord wants us to wait: {throttled}") from throttled

    async def fetch(self, attachment: Attachment, most: int) -> bytes | None:
        return await self._files.fetch(attachment, most)

    async def tell(self, key: SessionKey, to: Author, text: str) -> None:
        await self._teller.tell(key, to, text)

    # Looking things up.

    async def places(self, asker: Author, at: SessionKey, known: Known) -> Readable:
        return await self._shelf.places(asker, at, known)

    async def open_to_readers_of(self, at: SessionKey, places: frozenset[Place]) -> frozenset[Place]:
        return await self._shelf.open_to_readers_of(at, places)

    async def link(self, key: SessionKey, position: int) -> str:
        return await self._shelf.link(key, position)

    async def show_found(self, question: Question, page: Page) -> None:
        await self._recalls.show(question, page)

    # Files for one person alone.

    async def linked(self, link: str, at: SessionKey) -> Sequence[SessionKey]:  # noqa: ARG002 - the port's
        return await self._takings.linked(link)

    async def hand(self, taken: Taken, wish: Wish) -> str:
        return await self._takings.hand(taken, wish)

    async def show_to_all(self, at: SessionKey, quote: Quote, gesture: str) -> int:
        return await self._staging.show(at, quote, gesture)

    async def open_thread(self, at: SessionKey, opening: Sentence, name: str, gesture: str) -> Opened:
        return await self._staging.open_thread(at, opening, name, gesture)

    async def leave_word(self, key: SessionKey, word: Sentence, gesture: str) -> int | None:
        return await self._staging.leave_word(key, word, gesture)

    async def _heard(self, raw: str) -> None:
        self._memberships.heard(raw)
        await self._receiver.heard(raw)

    async def _begun(self, guilds: Sequence[discord.Guild]) -> None:
        self._catching_up.anew(guilds)

    async def _as_said(self, spot: Spot, payload: Payload) -> Message:
        return await self._past.message(spot.guild, spot.channel, payload)

    async def _pass_on(self, event: Event) -> Receipt:
        return await self._receiver.pass_on(event)

    async def _missed(self, payload: Payload, spot: Spot) -> None:
        await self._receiver.catch_up(payload, spot)

    async def _known_commands(self, application: int) -> list[Payload] | None:
        """The commands that Discord knows; None where it does not tell."""
        try:
            known = await self._rest.call("GET", COMMANDS, application_id=application)
        except (PostGone, Refused):
            return None
        return known if isinstance(known, list) else None

    async def _tell_commands(self) -> None:
        """Tell Discord of our commands, if it knows others."""
        wanted = commands.wanted(self._models, self._personas)
        application = self._rest.application
        try:
            known = await self._known_commands(application)
            if known is None or not commands.same(wanted, known):
                await self._rest.call("PUT", COMMANDS, body=wanted, application_id=application)
                log.info("Discord was told of the commands", extra={"event": "commands_told"})
        except (PlatformError, Throttled) as error:
            log.warning(
                "Discord could not be told of the commands; words after a mention work.",
                extra={"event": "commands_untold", "error": type(error).__name__},
            )
