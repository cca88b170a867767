"""The core, put together over stores and models that are open."""

import secrets
from typing import TYPE_CHECKING, NamedTuple

from adapters.llm.offline import OfflineModel
from adapters.llm.roster import Roster
from adapters.llm.tokens import count
from bot.answering import Answerer, Backfill
from bot.asking import Asking
from bot.catching_up import CatchingUp
from bot.commands import Offer
from bot.forgetting import Forgetting, Retention
from bot.gate import Gate
from bot.lending import KEPT_S, LENT_S, Returning
from bot.lookups import Lookups
from bot.observing import Observer
from bot.ports import HotContext
from bot.recall import Recall
from bot.runner import Runner
from bot.searching import Searcher
from bot.service import Service
from bot.settings import Settings
from bot.sharing import Sharing
from bot.summary import Summariser
from bot.taking import TakingOut
from bot.turns import Keeper
from bot.windows import LastReads, WindowLoader
from storage.archive.carrying import Carrying
from storage.archive.claims import Claimant
from storage.archive.continuing import Continuations
from storage.archive.erasures import Erasures
from storage.archive.gestures import Gestures
from storage.archive.lending import Lending
from storage.archive.passing import PassedOver
from storage.archive.records import Records
from storage.archive.sources import Sources
from storage.archive.summaries import Summaries
from storage.archive.turns import Turns
from storage.archive.windows import Windows
from storage.database import Database
from storage.search.finder import SqlFinder

if TYPE_CHECKING:
    pass


class Core(NamedTuple):
    """What is in the middle of everything."""

    service: Service
    runner: Runner
    keeper: Keeper
    recall: Recall
    sharing: Sharing
    forgetting: Forgetting
    taking: TakingOut
    returning: Returning


def wire_service(
    settings: Settings,
    database: Database,
    hot: HotContext,
    model: Roster | OfflineModel,
    observer: Observer,
    reads: LastReads,
    gate: Gate,
) -> Core:
    """The core over these stores and models."""
    claimant = Claimant(secrets.token_hex(8), settings.turns.lease_s)
    lent_s = LENT_S if settings.archive.mode == "distributed" else None
    records, turns = Records(database, claimant, lent_s), Turns(database, claimant)
    windows, summaries = Windows(database), Summaries(database)
    finder = SqlFinder(database)
    recall = Recall(finder, finder)
    personas = {settings.persona: settings.personas[settings.persona], **settings.personas}
    offer = Offer(models=model.names, personas=tuple(personas))
    loader = WindowLoader(hot, windows, settings.hot.window, observer, reads)
    answerer = Answerer(
        records=records,
        windows=loader,
        summaries=summaries,
        backgrounds=Continuations(database),
        asking=Asking(model, Searcher(recall, count, Sources(database))),
        count=count,
        personas=personas,
        offer=offer,
        backfill=Backfill(settings.backfill.max, settings.backfill.seconds),
    )
    keeper = Keeper(turns, settings.turns.lease_s)
    runner = Runner(
        turns=turns,
        windows=loader,
        answerer=answerer,
        summariser=Summariser(summaries, windows, model),
        keeper=keeper,
        observer=observer,
    )
    taking = TakingOut(finder, finder, Carrying(database), gate.wait_s)
    passing = PassedOver(database)
    sharing = Sharing(finder, finder, passing, Continuations(database), Gestures(database))
    forgetting = Forgetting(Erasures(database), hot, retention(settings))
    service = Service(
        gate=gate,
        records=records,
        turns=turns,
        hot=hot,
        keeper=keeper,
        runner=runner,
        lookups=Lookups(recall, passing),
        catching_up=CatchingUp(recall, model),
        forgetting=forgetting,
        taking=taking,
        offer=offer,
        observer=observer,
    )
    returning = Returning(Lending(database), hot)
    return Core(service, runner, keeper, recall, sharing, forgetting, taking, returning)


def retention(settings: Settings) -> Retention:
    """How long messages are kept."""
    kept, distributed = settings.archive.retention, settings.archive.mode == "distributed"
    automatic = KEPT_S if distributed else None
    return Retention(automatic if kept.default == "auto" else kept.default, kept.places)
