from datetime import UTC, datetime, timedelta

import pytest

from bot.domain import *
from storage.archive.claims import Claimant
from storage.archive.records import Records
from storage.archive.turns import Turns
from storage.archive.windows import Windows

pytest_plugins = ["tests.databases"]
KEY = SessionKey("web", "w", "c", "1")
ANN = Author("U1", "Ann")
T0 = datetime(2026, 1, 1, tzinfo=UTC)

def said(p, text="hello", addressed=Addressed.MENTION, **kw):
    return Said(KEY, Message(p, ANN, text, T0 + timedelta(seconds=p)), addressed, **kw)

async def test_smoke(database):
    me = Claimant("me", 15.0)
    records, turns, windows = Records(database, me), Turns(database, me), Windows(database)
    r = await records.record(said(1, opens_thread=True))
    print(r)
    assert r.receipt is Receipt.ANSWERING
    assert (await records.record(said(1))).receipt is Receipt.KEPT
    r2 = await records.record(said(2, addressed=Addressed.THREAD))
    r3 = await records.record(said(3, addressed=Addressed.THREAD))
    assert r2.receipt is r3.receipt is Receipt.QUEUED
    assert (await turns.renew([r.turn.id])) == {r.turn.id: (1, False)}
    await turns.intend(r.turn, 2)
    await turns.posted(r.turn, 1, 10)
    closed = await turns.close(r.turn, Answer("hi"), [Part(1, 10, 2)], T0)
    print(closed)
    assert closed.next.asked == (2, 3)
    w = await windows.newest(r.session_id, 100)
    print(w)
    assert await records.delete(Deleted(KEY, 10))
    assert await records.edit(Edited(KEY, Message(2, ANN, "new", T0, edited_at=T0), Addressed.THREAD))
    w = await windows.newest(r.session_id, 100)
    assert [m.text for m in w.messages] == ["hello", "new", "hello"]
    await turns.release(closed.next, 0)
    t = await turns.take_over(["web"])
    print(t)
    assert t[0].epoch == 3
    assert (await turns.close(t[0], Answer("hi"), [Part(1, 11, 2)], T0)).next is None
