"""What commands share of the terminal: how they end, where they write, and a bar meanwhile."""

import contextlib
import errno
import io
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn, TextIO

from bot.errors import SettingsError, ThreadflyError

FAILED, WRONG_SETTINGS = 1, 2
UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
"""What a full or broken disk behind standard output says."""


def ending_well(command: Callable[[], object]) -> None:
    """Run it; what goes wrong ends as a line on standard error, never as a traceback."""
    with open(os.devnull, "w") as nowhere:
        sys.stdout = sys.stdout or nowhere  # whoever closed them before we began wants to hear nothing
        sys.stderr = sys.stderr or nowhere
        try:
            command()
        except SettingsError as error:
            _end(str(error), WRONG_SETTINGS)
        except ThreadflyError as error:
            _end(str(error), FAILED)
        except Exception as error:  # noqa: BLE001  # a bug: its place, without what the values were
            if isinstance(error, OSError) and error.errno in UNWRITABLE:
                _end(f"what there is to say can't be written: {error.strerror}", FAILED)
            from bot.logs import describe

            _end(f"this is a bug in Threadfly, please report it: {describe(error)}", FAILED)


def _end(sentences: str, code: int) -> NoReturn:
    for line in sentences.splitlines():
        print(f"threadfly: {line}", file=sys.stderr)  # noqa: T201  # the terminal is where it belongs
    sys.exit(code)


@contextlib.contextmanager
def written(output: Path | None) -> Iterator[TextIO]:
    """The file, which only its owner can read; else standard output."""
    if output is None:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8")
        yield sys.stdout
        return
    try:
        with open(output, "w", encoding="utf-8", opener=_private) as file:  # it takes an opener
            yield file
    except OSError as error:
        raise ThreadflyError(f"{output} can't be written: {error.strerror or error}") from error


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


@contextlib.contextmanager
def progress(what: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A bar on standard error, if that is a terminal; to be told how many messages went by."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=total)
        yield lambda count: bar.advance(task, count)
