"""A thread as files: bounded, each whole by itself, with names that nothing trips over."""

import asyncio
import json
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot import words
from bot.commands import Form
from bot.domain import Attachment, Author, Message, SessionKey
from bot.sheets import Entry, Piece, Sheet
from bot.taking import Document, Taken, is_name

T0 = datetime(2026, 1, 1, tzinfo=UTC)
KEY = SessionKey("slack", "T1", "C1", "1.000001")
BREAKING = "</p><script>alert(1)</script>\n```\n**Joe** · 2026-01-01 00:00 UTC\n\n~~~"


def entry(position: int, text: str, name: str = "Ann") -> Entry:
    file = Attachment("<b>.txt", "text/plain", 3, "https://secret.example/file?token=x")
    return Entry(
        Message(position, Author("U1", name), text, T0 + timedelta(seconds=position % 1_000), (file,))
    )


def taken(*entries: Entry, form: Form = Form.MARKDOWN, title: str = "Tea") -> Taken:
    async def pieces() -> AsyncGenerator[Piece, None]:
        yield Sheet(KEY, title, "U1", T0, T0)
        for each in entries:
            yield each

    return Taken(title, len(entries), form, pieces, asyncio.Semaphore(1))


async def files(of: Taken, **bounds: int) -> list[Document]:
    return [document async for document in of.documents(**bounds)]


def said(documents: list[Document]) -> list[str]:
    return [m["text"] for document in documents for m in json.loads(document.content)["messages"]]


@pytest.mark.parametrize("form", list(Form))
async def test_the_files_say_what_the_stream_says(form: Form) -> None:
    thread = taken(entry(1, "hello"), entry(2, BREAKING, "<i>"), form=form)
    (document,) = await files(thread)
    assert document.content.decode() == "".join([piece async for piece in thread.text()])
    assert document.name == f"threadfly-export-tea.{ {'markdown': 'md'}.get(form.value, form.value) }"
    assert document.lead == "Here is “Tea”: 2 messages."


async def test_html_shows_what_was_said_and_obeys_none_of_it() -> None:
    (document,) = await files(taken(entry(1, BREAKING, "<i>Ann"), form=Form.HTML, title="<u>"))
    page = document.content.decode()
    assert "&lt;script&gt;alert(1)" in page
    assert not [tag for tag in ("<script", "<i>", "<u>", "<b>.txt") if tag in page]


async def test_json_is_whole_and_tells_no_address_of_a_file() -> None:
    (document,) = await files(taken(entry(2**60 + 1, "hello"), form=Form.JSON))
    (message,) = json.loads(document.content)["messages"]
    assert message == {
        "id": str(2**60 + 1),
        "author": {"id": "U1", "name": "Ann", "kind": "person"},
        "sent_at": message["sent_at"],
        "text": "hello",
        "files": [{"name": "<b>.txt", "type": "text/plain", "size": 3}],
    }
    assert json.loads(document.content)["session"]["key"] == str(KEY)


async def test_a_long_thread_comes_in_several_files_of_which_each_is_whole() -> None:
    thread = taken(*(entry(n, f"message {n} " + "x" * 300) for n in range(1, 11)), form=Form.JSON)
    documents = await files(thread, most_bytes=2_000, most=10)
    assert len(documents) > 1
    assert max(len(document.content) for document in documents) < 2_100
    assert [text.split()[1] for text in said(documents)] == [str(n) for n in range(1, 11)]
    assert [document.name for document in documents[:2]] == [
        "threadfly-export-tea.json",
        "threadfly-export-tea-2.json",
    ]
    assert all("file " in document.lead for document in documents)
    assert words.EXPORT_CUT not in documents[-1].lead


async def test_what_is_too_long_ends_with_a_sentence_about_the_rest() -> None:
    thread = taken(*(entry(n, "x" * 300) for n in range(1, 11)), form=Form.JSON)
    documents = await files(thread, most_bytes=1_000, most=2)
    assert len(documents) == 2
    assert documents[-1].lead.endswith(words.EXPORT_CUT)
    assert words.EXPORT_CUT not in documents[0].lead


async def test_one_message_longer_than_a_file_still_comes() -> None:
    documents = await files(taken(entry(1, "x" * 500), entry(2, "y"), form=Form.JSON), most_bytes=400, most=5)
    assert [text[0] for text in said(documents)] == ["x", "y"]


@given(st.text(max_size=200))
def test_no_title_makes_a_name_that_anything_trips_over(title: str) -> None:
    name = taken(title=title).name(2)
    assert is_name(name)
    stem, _, suffix = name.rpartition(".")
    assert suffix == "md"
    assert all(c == "-" or c.isalnum() for c in stem)
    assert len(name.encode()) <= 255
