"""`threadfly recall`: the archive looked up on a terminal."""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from bot.domain import Author, SessionKey
from bot.finding import Bookmark, Page, Place, Question, Readable, Shown
from bot.recall import PAGE, Recall
from bot.recall_words import moment

if TYPE_CHECKING:
    from rich.text import Text


class Asker(NamedTuple):
    """In whose place an operator looks something up."""

    platform: str
    workspace: str
    user: str


def asker(text: str) -> Asker | None:
    """What `web:playground:ann` names; None for anything else."""
    parts = text.split(":")
    return Asker(*parts) if len(parts) == len(Asker._fields) and all(parts) else None


@dataclass(frozen=True, slots=True)
class Lookup:
    """What an operator may do with the archive."""

    recall: Recall
    everywhere: Callable[[], Awaitable[frozenset[Place]]]

    async def find(self, by: Asker | None, words: str, page: int) -> Page | str:
        """A page of what `by` may read, who is somebody; of everything for None."""
        mark = Bookmark(datetime.now(UTC), (page - 1) * PAGE) if page > 1 else None
        if by is not None:
            at = SessionKey(by.platform, by.workspace, "", "")
            return await self.recall.ask_as(Question(Author(by.user, by.user), at, words), mark)
        places = dict.fromkeys(await self.everywhere(), "")
        question = Question(Author("", ""), SessionKey("", "", "", ""), words)
        return await self.recall.within(Readable(places, {}, direct=True), question, mark)


def show(page: Page, width: int | None) -> None:
    """Print it as a table."""
    from rich.console import Console
    from rich.table import Column, Table

    console = Console(width=width)
    listed = not page.words.strip()
    told = ("title", "messages") if listed else ("who", "what was said")
    heads = ("where", f"when ({page.zone})", *told, "link", "thread")
    table = Table(*(Column(head, overflow="fold") for head in heads), show_lines=True)
    for shown in page.found:
        table.add_row(*(_of_talk if listed else _cells)(shown, page.zone))
    if page.found:
        console.print(table)
    console.print(page.lead, markup=False, highlight=False)
    for note in page.notes:
        console.print(note, markup=False, highlight=False)
    if page.later:
        console.print(f"There is more: --page {page.later.skip // PAGE + 1}", markup=False, highlight=False)


def _cells(shown: Shown, zone: str) -> "Iterator[Text]":
    from rich.text import Text

    line = shown.hit.line
    said = Text("…" if line.snippet.cut_before else "")
    for stretch in line.snippet.stretches:
        said.append(stretch.text, "bold yellow" if stretch.marked else "")
    said.append("…" if line.snippet.cut_after else "")
    others = f" (and {shown.hit.others} more)" if shown.hit.others else ""
    yield Text(shown.where)
    yield Text(moment(line.sent_at, zone))
    yield Text(line.author.name)
    yield said
    yield Text(shown.link)
    yield Text(f"{shown.hit.talk.key}{others}")


def _of_talk(shown: Shown, zone: str) -> "Iterator[Text]":
    """A conversation in a list of them."""
    from rich.text import Text

    talk = shown.hit.talk
    yield Text(shown.where)
    yield Text(moment(talk.active_at, zone))
    yield Text(talk.title)
    yield Text(f"{talk.messages:,}")
    yield Text(shown.link)
    yield Text(str(talk.key))
