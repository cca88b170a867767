"""The few lines of a message that are shown for a hit, with the words that were found marked. Pure."""

import re
from collections import Counter
from collections.abc import Iterator

from bot.finding import Snippet, Stretch
from storage.analyser import Chunk, chunks, composed, fold, is_cjk
from storage.stemmer import stem

LENGTH = 240
"""Most characters of a snippet."""
_LEAD = 60
"""Characters before the first marked word."""
_RUN_OF_OTHERS = re.compile(r"[A-Za-z0-9]+")
_MOST_SCANNED = 20_000
"""Characters that are scanned for the best place; further on, the beginning of the text is shown."""

_Mark = tuple[int, int, frozenset[str]]
"""From where to where, and for which terms."""


def snippet(text: str, terms: frozenset[str], length: int = LENGTH) -> Snippet:
    """The part of `text` with the most of `terms` (see `Found.terms`), on one line."""
    line = " ".join(composed(text)[:_MOST_SCANNED].split())
    marks = list(_marks(line, terms))
    start, end = _window(line, marks, length)
    inside = [(max(a, start), min(b, end)) for a, b, _ in marks if a < end and b > start]
    return Snippet(tuple(_stretches(line, start, end, inside)), start > 0, end < len(line))


def _marks(line: str, terms: frozenset[str]) -> Iterator[_Mark]:
    """Where something is to be marked, and which terms it holds."""
    for chunk in chunks(line):
        found = chunk.pieces.terms & terms
        if not found:
            continue
        written = line[chunk.start : chunk.end]
        if is_cjk(written):
            yield from _cjk_marks(chunk, written, found)
        else:
            yield chunk.start, chunk.end, found


def _cjk_marks(chunk: Chunk, written: str, found: frozenset[str]) -> Iterator[_Mark]:
    """Runs of CJK have no words to be marked whole: the characters that were found, and no others."""
    at = 0
    while at < len(written):
        end = _end_of_mark(written, at, found)
        if end > at:
            yield chunk.start + at, chunk.start + end, found
        at = max(end, at + 1)


def _end_of_mark(written: str, at: int, found: frozenset[str]) -> int:
    """Where the mark ends that begins at `at`; `at` itself if none does."""
    run = _RUN_OF_OTHERS.match(written, at)
    if run and (at == 0 or is_cjk(written[at - 1])):
        return run.end() if stem(fold(run[0])) in found else at
    end = next((at + n for n in (2, 1) if fold(written[at : at + n]) in found), at)
    while at < end < len(written) and fold(written[end - 1 : end + 1]) in found:
        end += 1
    return end


def _window(line: str, marks: list[_Mark], length: int) -> tuple[int, int]:
    """Start and end of the stretch with the most different terms, cut between words where it can be."""
    if len(line) <= length:
        return 0, len(line)
    start = _fullest(marks, length, len(line) - length)
    end = start + length
    if start > 0:
        start = line.find(" ", start, start + _LEAD // 2) + 1 or start
    if end < len(line):
        end = max(line.rfind(" ", end - _LEAD // 2, end), 0) or end
    return start, end


def _fullest(marks: list[_Mark], length: int, last: int) -> int:
    """Where a stretch begins that has as many different terms as any; not after `last`.

    One walk through the marks, which stand in order: a text may be nothing but them.
    """
    fullest, most = 0, -1
    inside: Counter[str] = Counter()
    first = beyond = 0
    for at, _, _ in marks:
        start = max(0, min(at - _LEAD, last))
        while beyond < len(marks) and marks[beyond][1] <= start + length:
            inside.update(marks[beyond][2])
            beyond += 1
        while first < beyond and marks[first][0] < start:
            for term in marks[first][2]:
                inside[term] -= 1
                if not inside[term]:
                    del inside[term]
            first += 1
        if len(inside) > most:
            fullest, most = start, len(inside)
    return fullest


def _stretches(line: str, start: int, end: int, marks: list[tuple[int, int]]) -> Iterator[Stretch]:
    at = start
    for a, b in marks:
        if b <= at:
            continue  # one mark may reach into the next: nothing is shown twice
        if a > at:
            yield Stretch(line[at:a])
        yield Stretch(line[max(a, at) : b], marked=True)
        at = b
    if at < end:
        yield Stretch(line[at:end])
