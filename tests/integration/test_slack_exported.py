"""Slack's own export of a workspace is taken in, so that recall starts full."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from adapters.slack.exported import NoExport, pieces_of
from bot.carry import read_in
from bot.sheets import Counted
from storage.archive.carrying import Carrying
from storage.database import Database
from storage.tables import messages, sessions

ROOT, REPLY, NEXT = "1700000001.000100", "1700000002.000200", "1700086400.000300"
FILES: dict[str, list[dict[str, Any]]] = {
    "users.json": [
        {"id": "U1", "team_id": "T1", "name": "ann", "profile": {"display_name": "Ann"}},
        {"id": "U2", "team_id": "T1", "name": "joe", "profile": {"display_name": "", "real_name": "Joe D."}},
    ],
    "channels.json": [{"id": "C1", "name": "general"}],
    "groups.json": [{"id": "G1", "name": "plans"}],
    "dms.json": [{"id": "D1", "members": ["U1", "U2"]}],
    "general/2023-11-14.json": [
        {"type": "message", "user": "U1", "text": "hello <@U2>", "ts": ROOT, "thread_ts": ROOT},
        {"type": "message", "user": "U2", "text": "hi &amp; bye", "ts": REPLY, "thread_ts": ROOT},
        {"type": "message", "subtype": "channel_join", "user": "U2", "text": "joined", "ts": "1700000003.1"},
    ],
    "general/2023-11-15.json": [
        {"type": "message", "user": "U1", "text": "next day", "ts": NEXT, "thread_ts": ROOT}
    ],
    "plans/2023-11-14.json": [{"type": "message", "user": "U1", "text": "a secret plan", "ts": ROOT}],
    "D1/2023-11-14.json": [{"type": "message", "user": "U1", "text": "between us", "ts": ROOT}],
}


def written(folder: Path, files: dict[str, list[dict[str, Any]]] = FILES) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content), "utf-8")
    return folder


def zipped(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "export.zip", "w") as archive:
        for name, content in FILES.items():
            archive.writestr(name, json.dumps(content))
    return folder / "export.zip"


async def taken_in(db: Database, source: Path) -> Counted:
    return await read_in(Carrying(db), pieces_of(source), lambda _: None)


@pytest.mark.parametrize("pack", [written, zipped])
async def test_threads_are_taken_in_with_names(database: Database, tmp_path: Path, pack: Any) -> None:
    assert await taken_in(database, pack(tmp_path)) == Counted(4, 0)
    query = (
        sa.select(
            sessions.c.workspace,
            sessions.c.channel,
            sessions.c.thread,
            messages.c.author_name,
            messages.c.text,
        )
        .join(sessions, sessions.c.id == messages.c.session_id)
        .order_by(sessions.c.channel, messages.c.position)
    )
    assert [tuple(row) for row in await database.read(lambda c: c.execute(query).all())] == [
        ("T1", "C1", ROOT, "Ann", "hello @Joe D."),
        ("T1", "C1", ROOT, "Joe D.", "hi & bye"),
        ("T1", "C1", ROOT, "Ann", "next day"),
        ("T1", "G1", ROOT, "Ann", "a secret plan"),
    ]
    assert await taken_in(database, tmp_path if pack is written else tmp_path / "export.zip") == Counted(0, 4)


@pytest.mark.parametrize(
    "files", [{}, {"users.json": FILES["users.json"]}, {"channels.json": [{"id": "C1"}]}]
)
def test_what_is_no_export_is_said_to_be_none(tmp_path: Path, files: dict[str, Any]) -> None:
    with pytest.raises(NoExport):
        list(pieces_of(written(tmp_path, files)))


def test_a_file_that_was_cut_off_is_named(tmp_path: Path) -> None:
    written(tmp_path)
    (tmp_path / "general" / "2023-11-14.json").write_text('[{"text": "sec', "utf-8")
    with pytest.raises(NoExport, match="2023-11-14"):
        list(pieces_of(tmp_path))
