"""Cuts Markdown into posts without breaking it. Pure.

A cut depends only on the text up to the first character that no longer fits. So a text that grows
keeps every piece but the last one, which is what streaming needs: a post that is full never changes.
(Grown texts are to be given as `settled` leaves them.) Time is linear in the length of the text.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import regex  # type: ignore[import-untyped]  # comes without types

Length = Callable[[str], int]
"""How a platform counts: the sum over the characters of a text, each at least 1."""

FENCE_LINE_MOST = 100
"""Characters; a longer line is text, even if it begins like a fence."""
TAB = 4
"""Columns."""
NEAR = 0.5
"""A good place to cut counts only beyond this share of a post, lest posts get short."""
NEAREST = 0.125
"""Before this share of a post even a bad place is better."""

_LEAD = r"[ \t]*(?:(?:>|(?:[-*+]|\d{1,9}[.)])(?=[ \t]))[ \t]*)*"
_FENCE_LINE = re.compile(
    rf"^(?=.{{0,{FENCE_LINE_MOST}}}$)(?P<lead>{_LEAD})(?P<marks>`{{3,}}|~{{3,}})(?P<info>[^\n]*)$",
    re.MULTILINE,
)
_UNSETTLED_LINE = re.compile(rf"(?:\A|\n){_LEAD}(?:`{{1,2}}|~{{1,2}}|(?:`{{3,}}[^`\n]*|~{{3,}}[^\n]*))\Z")
_TOKEN = re.compile(
    r"(?P<escape>\\[^\s\w])|(?P<gap>\s+)|(?P<ticks>`+)|(?P<open>\[)|(?P<into>\]\()|(?P<close>[\])])"
    r"|(?<=[。！？；])(?P<stop>)"
)
_INK = re.compile(r"\S")
_INDENTATION = re.compile(r"^[ \t]+", re.MULTILINE)
_CLUSTER = regex.compile(r"[\ud800-\udbff][\udc00-\udfff]|\X")


@dataclass(frozen=True, slots=True)
class Fence:
    """An open block of code."""

    lead: str
    """What stands before each of its lines: indentation, marks of quotations."""
    marks: str
    info: str

    @property
    def opening(self) -> str:
        return f"{self.lead}{self.marks}{self.info}\n"

    @property
    def closing(self) -> str:
        return f"\n{self.lead}{self.marks}"


@dataclass(frozen=True, slots=True)
class Piece:
    """What one post shows of a text. Pieces consume it in order; all but the last are final."""

    start: int
    end: int
    """Offsets in the source. What is not shown of it is white space at the cut."""
    shown: str
    fence: Fence | None = None
    """Still open at `end`: `shown` closes it, and the next piece opens it again."""


def split(
    text: str, limit: int, length: Length = len, most: int | None = None, after: Sequence[Piece] = ()
) -> list[Piece]:
    """The pieces of `text`, none longer than `limit`; none at all for white space.

    At most `most` of them, the last of which then ends where the rest begins. `after` are final
    pieces of an earlier state of the text, which are not computed again.
    """
    pieces = list(after)
    if not pieces and (uncut := _uncut(text, limit, length)):
        return [uncut]
    for piece in _pieces(text, pieces[-1] if pieces else Piece(0, 0, ""), limit, length):
        if most is not None and len(pieces) >= most:
            break
        pieces.append(piece)
    return pieces


def settled(text: str) -> str:
    """`text` without a last line that may yet become a fence, or a fence with nothing in it."""
    unsettled = _UNSETTLED_LINE.search(text, text.rfind("\n") if "\n" in text else 0)
    return text[: unsettled.start()] if unsettled else text


def close_open_fence(text: str) -> str:
    """`text` with its block of code closed, if one is open at its end."""
    fence = None
    for line in _FENCE_LINE.finditer(text):
        fence = _step(fence, line)
    return text.rstrip() + fence.closing if fence else text


def _uncut(text: str, limit: int, length: Length) -> Piece | None:
    """All of a text that fits, where nothing in it needs care: most answers, found out at once."""
    if "```" in text or "~~~" in text or length(text) > limit:
        return None
    shown = text.strip()
    return Piece(0, len(text), shown) if shown else None


def _pieces(text: str, piece: Piece, limit: int, length: Length) -> Iterator[Piece]:
    while _INK.search(text, piece.end):
        piece = _Post(text, piece, limit, length).piece()
        yield piece


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Text without a line that looks like a fence: cuts are looked for in here."""

    start: int
    end: int
    fence: Fence | None
    opened: bool
    """Begins with the end of the line that opened `fence`: no place to cut."""
    closed: bool
    """Ends before the line that closes `fence`: no place to cut either."""


class _Post:
    """Finds the next piece."""

    def __init__(self, text: str, last: Piece, limit: int, length: Length) -> None:
        self._text = text
        self._limit = limit
        self._length = length
        self._start = last.end
        self._fence = last.fence
        if last.fence and length(last.fence.opening + last.fence.closing) > limit // 2:
            self._fence = None
        self._begin = last.end if self._fence else self._first_ink(last.end)
        self._block = self._fence
        """The block of code that the piece begins with: out of its list it needs no indentation."""
        self._block_end: int | None = None

    def piece(self) -> Piece:
        stretches, whole = self._stretches()
        if whole:
            return self._shown(len(self._text), stretches[-1].fence)
        reach = stretches[-1].end
        best = max((place for stretch in stretches for place in self._places(stretch, reach)), default=None)
        if best is not None:
            return self._shown(best[1], next(s.fence for s in stretches if best[1] <= s.end))
        return self._shown(self._within(reach), stretches[-1].fence)

    def _shown(self, end: int, fence: Fence | None) -> Piece:
        body = self._text[self._begin : end].rstrip()
        opening = self._fence.opening if self._fence else ""
        shown = opening + body + (fence.closing if fence else "")
        if self._block and self._block.lead.isspace():
            closed = self._block_end is not None and self._block_end <= end
            inside = len(opening) + (self._block_end or 0) - self._begin if closed else len(shown)
            columns = len(self._block.lead.expandtabs(TAB))
            shown = _INDENTATION.sub(lambda m: _outdented(m[0], columns), shown[:inside]) + shown[inside:]
        return Piece(self._start, end, shown, fence)

    def _first_ink(self, start: int) -> int:
        ink = _INK.search(self._text, start)
        at = ink.start() if ink else len(self._text)
        line = self._text.rfind("\n", start, at) + 1 or start
        return line if _FENCE_LINE.match(self._text, line, at + FENCE_LINE_MOST + 2) else at

    def _stretches(self) -> tuple[list[_Stretch], bool]:
        """What fits, and whether that is everything."""
        fence, at, opened = self._fence, self._begin, False
        room = self._limit - (self._length(fence.opening) if fence else 0)
        found: list[_Stretch] = []
        while True:
            reach = self._reach(at, room - self._closing(fence))
            line = self._fence_line(at, reach)
            if line is None:
                found.append(_Stretch(at, reach, fence, opened, closed=False))
                return found, reach >= len(self._text)
            after = _step(fence, line)
            found.append(_Stretch(at, line.start(), fence, opened, closed=after is None))
            if line.start() == self._begin:
                self._block = self._block or after
            if after is None and self._block_end is None:
                self._block_end = line.end()
            room -= self._length(self._text[at : line.end()])
            if room < self._closing(after):
                return found, False
            fence, at, opened = after, line.end(), fence is None

    def _closing(self, fence: Fence | None) -> int:
        return self._length(fence.closing) if fence else 0

    def _reach(self, start: int, room: int) -> int:
        """How far `room` reaches from `start`; white space after it needs none."""
        text, length = self._text, self._length
        end = min(len(text), start + max(room, 0))
        if length(text[start:end]) > room:
            end = bisect_right(range(start, end), room, key=lambda e: length(text[start:e])) + start - 1
        if start == self._begin:
            end = max(end, start + 1)
        ink = _INK.search(text, end)
        return ink.start() if ink else len(text)

    def _fence_line(self, start: int, reach: int) -> re.Match[str] | None:
        """The next line, no farther than `reach`, that looks like a fence."""
        for line in _FENCE_LINE.finditer(self._text, start, reach + FENCE_LINE_MOST + 2):
            if line.start() > reach:
                return None
            if _is_fence(line) and self._bearable(line):
                return line
        return None

    def _bearable(self, line: re.Match[str]) -> bool:
        """Whether opening and closing such a block leaves at least half of a post for its text."""
        return self._length(f"{line[0]}\n\n{line['lead']}{line['marks']}") <= self._limit // 2

    def _places(self, stretch: _Stretch, reach: int) -> Iterator[tuple[int, int]]:
        """Where the stretch can be cut: how good a place is, and the place."""
        near = self._begin + NEAR * (reach - self._begin)
        nearest = self._begin + NEAREST * (reach - self._begin)
        spans = _Spans()
        for token in _TOKEN.finditer(self._text, stretch.start, stretch.end):
            kind = token.lastgroup
            if kind not in ("gap", "stop"):
                spans.take(str(kind), token[0])
                continue
            spans.gap(token[0])
            place = token.end() if "\n" not in token[0] else token.start() + token[0].rindex("\n") + 1
            if place < nearest or place <= self._begin or self._may_open(place, reach):
                continue
            if (stretch.opened and token.start() == stretch.start) or (
                stretch.closed and place == stretch.end
            ):
                continue
            worth = self._worth(token, place, stretch.fence, spans)
            yield (worth if place >= near or worth == IN_SPAN else IN_FRONT), place

    def _worth(self, gap: re.Match[str], place: int, fence: Fence | None, spans: "_Spans") -> int:
        lines = gap[0].count("\n")
        if fence:
            return FENCED_LINE if lines else FENCED_WORD
        if spans.open:
            return IN_SPAN
        if lines > 1:
            return PARAGRAPH
        if lines:
            return TABLE_ROW if self._text[place : place + 9].lstrip().startswith("|") else LINE
        before = self._text[max(self._begin, gap.start() - 4) : gap.start()].rstrip("\"')]*_`»”’")
        return SENTENCE if before[-1:] in tuple(".!?…。！？") else WORD

    def _within(self, reach: int) -> int:
        """The last place up to `reach` that is inside no character as people see it."""
        clusters = _CLUSTER.finditer(self._text, self._begin, min(reach + 1, len(self._text)))
        starts = [c.start() for c in clusters if self._begin < c.start() <= reach]
        harmless = (place for place in reversed(starts) if not self._may_open(place, reach))
        return next(harmless, starts[-1] if starts else reach)

    def _may_open(self, place: int, reach: int) -> bool:
        """Whether marks in the middle of a line could open a block at the start of a post.

        Nothing beyond the first character that does not fit is looked at.
        """
        marks = self._text[place : min(place + 3, reach + 1)]
        return self._text[place - 1] != "\n" and marks in ("`", "``", "```", "~", "~~", "~~~")


PARAGRAPH, LINE, TABLE_ROW, FENCED_LINE, SENTENCE, WORD, FENCED_WORD, IN_FRONT, IN_SPAN = range(9, 0, -1)
"""How good a place to cut is. `IN_FRONT`: it would leave the post short."""


class _Spans:
    """Whether a place is inside inline code or a link, as far as the text before it tells."""

    def __init__(self) -> None:
        self._ticks = ""
        self._link = ""

    @property
    def open(self) -> bool:
        return bool(self._ticks or self._link)

    def gap(self, gap: str) -> None:
        lines = gap.count("\n")
        if lines:
            self._link = ""
        if lines > 1:
            self._ticks = ""

    def take(self, kind: str, token: str) -> None:
        if kind == "ticks":
            self._ticks = token if not self._ticks else "" if token == self._ticks else self._ticks
        elif self._ticks or kind == "escape":
            return
        elif kind == "open":
            self._link = self._link or "text"
        elif kind == "into" and self._link == "text":
            self._link = "target"
        elif kind in ("into", "close"):
            self._link = ""


def _is_fence(line: re.Match[str]) -> bool:
    return line["marks"][0] == "~" or "`" not in line["info"]


def _outdented(indentation: str, columns: int) -> str:
    """What is left of the white space before a line when so many columns are taken away."""
    taken = sum(len(indentation[:end].expandtabs(TAB)) <= columns for end in range(1, len(indentation) + 1))
    return indentation[taken:]


def _step(fence: Fence | None, line: re.Match[str]) -> Fence | None:
    """What is open after `line`, when `fence` was before it."""
    if not _is_fence(line):
        return fence
    if fence is None:
        lead = re.sub(r"[^>\s]", " ", line["lead"])
        return Fence(lead, line["marks"], line["info"].rstrip())
    closes = (
        line["marks"].startswith(fence.marks)
        and not line["info"].strip()
        and not line["lead"].strip(" \t>")
        and len(line["lead"].expandtabs(TAB)) <= len(fence.lead.expandtabs(TAB)) + 3
    )
    return None if closes else fence
