"""The commands. Each imports what it needs when it runs, so that help is there at once."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bot import VERSION
from bot.errors import ThreadflyError
from bot.terminal import FAILED, ending_well, progress, written

if TYPE_CHECKING:
    from bot.doctor import Finding
    from bot.domain import SessionKey
    from bot.finding import Page
    from bot.recall_table import Asker
    from bot.settings import Settings
    from bot.sheets import Counted, Piece, Scope

PIPED_WIDTH = 160

app = typer.Typer(
    help="Threadfly, a Slack and Discord chatbot that remembers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run a command; what goes wrong ends as a line on standard error, never as a traceback."""
    ending_well(app)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"threadfly {VERSION}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(
            help="The settings' file, in place of config.yaml. It goes before the command.", metavar="FILE"
        ),
    ] = None,
    _version: Annotated[
        bool,
        typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Take what all commands share."""
    context.obj = config


def _settings(context: typer.Context) -> "Settings":
    """Read the settings, and let the log be as they say."""
    from bot.logs import configure_logs
    from bot.redaction import Redactor
    from bot.settings import load_settings

    settings = load_settings(context.obj)
    configure_logs(settings.logs.level, settings.logs.format, Redactor(settings.secrets()))
    return settings


@app.command()
def run(context: typer.Context) -> None:
    """Run the bot until it is told to stop."""
    from bot import process

    process.run(_run(_settings(context)))


async def _run(settings: "Settings") -> None:
    from bot.bootstrap import open_bot
    from bot.process import settle

    stop = _stop_signal()
    async with open_bot(settings) as bot:
        settle()
        typer.echo(bot.greeting)
        sys.stdout.flush()
        await bot.run_until(stop)


def _stop_signal() -> asyncio.Event:
    """Set by the first SIGTERM or SIGINT; a second one ends the process at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def heard() -> None:
        stop.set()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, heard)
    return stop


@app.command()
def migrate(context: typer.Context) -> None:
    """Bring the archive's schema to this release."""
    from bot.beside import migrate_archive

    applied = asyncio.run(migrate_archive(_settings(context)))
    typer.echo(f"Migrated: {', '.join(applied)}." if applied else "The archive is up to date.")


@app.command()
def doctor(context: typer.Context) -> None:
    """Try every store, model and platform, and say what to do about what fails."""
    findings = asyncio.run(_examine(_settings(context)))
    _show(findings)
    if not all(finding.ok for finding in findings):
        raise typer.Exit(FAILED)


async def _examine(settings: "Settings") -> "list[Finding]":
    from bot.checkup import open_checks
    from bot.doctor import examine

    async with open_checks(settings) as checks:
        return await examine(checks)


def _show(findings: "Sequence[Finding]") -> None:
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    console = Console(width=None if sys.stdout.isatty() else PIPED_WIDTH)
    heads = ("", "what", "what was tried", "what came back", "what to do")
    table = Table(*(Column(head, overflow="fold") for head in heads))
    for finding in findings:
        mark = Text("ok", "green") if finding.ok else Text("fails", "bold red")
        cells = (finding.what, finding.tried, finding.came_back, finding.to_do)
        table.add_row(mark, *(Text(cell) for cell in cells))
    console.print(table)


@app.command()
def recall(
    context: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(help="What to find, as after `recall` in a chat; nothing: the newest."),
    ] = None,
    as_: Annotated[
        str, typer.Option("--as", help="Only what this person may read.", metavar="PLATFORM:WORKSPACE:USER")
    ] = "",
    all_: Annotated[bool, typer.Option("--all", help="Whatever is in the archive.")] = False,
    page: Annotated[int, typer.Option(min=1, help="Which page of the hits.")] = 1,
) -> None:
    """Find what was said, as somebody may read it or in everything."""
    from bot.recall_table import asker, show

    if all_ == bool(as_):
        raise typer.BadParameter("choose one: --as PLATFORM:WORKSPACE:USER, or --all")
    by = asker(as_) if as_ else None
    if as_ and by is None:
        raise typer.BadParameter("whom --as names has three parts, such as web:playground:ann")
    answer = asyncio.run(_recall(_settings(context), by, " ".join(words or ()), page))
    if isinstance(answer, str):
        typer.echo(answer)
        raise typer.Exit(FAILED)
    show(answer, None if sys.stdout.isatty() else PIPED_WIDTH)


async def _recall(settings: "Settings", by: "Asker | None", words: str, page: int) -> "Page | str":
    from bot.beside import open_lookup

    async with open_lookup(settings, by) as lookup:
        return await lookup.find(by, words, page)


@app.command()
def stats(context: typer.Context) -> None:
    """Show what the archive holds, how answers went, what they cost, and what people thought of them."""
    from bot.beside import take_stats
    from bot.bootstrap import prices
    from bot.stats import show

    settings = _settings(context)
    show(asyncio.run(take_stats(settings)), prices(settings), None if sys.stdout.isatty() else PIPED_WIDTH)


@app.command()
def forget(
    context: typer.Context,
    user: Annotated[
        str, typer.Option(help="All that this person said.", metavar="PLATFORM:WORKSPACE:USER")
    ] = "",
    session: Annotated[
        str, typer.Option(help="All of this session.", metavar="PLATFORM:WORKSPACE:CHANNEL:THREAD")
    ] = "",
    workspace: Annotated[str, typer.Option(help="All of this workspace.", metavar="PLATFORM:WORKSPACE")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Take away for good what somebody said in a workspace, what was said in a session, or in a workspace."""
    from bot.carry import key_of
    from bot.recall_table import asker

    person, key = asker(user) if user else None, key_of(session) if session else None
    platform, _, place = workspace.partition(":")
    known = [person is not None, key is not None, bool(platform and place)]
    if len([one for one in (user, session, workspace) if one]) != 1 or known.count(True) != 1:
        raise typer.BadParameter(
            "choose one: --user slack:T1:U1, --session slack:T1:C1:1700000000.000100, or --workspace slack:T1"
        )
    if not yes:
        typer.confirm(f"Take away for good all of {user or session or workspace}?", abort=True)
    whole = (platform, place) if workspace else None
    _told_gone(asyncio.run(_forget(_settings(context), person, key, whole)))


async def _forget(
    settings: "Settings",
    person: "Asker | None",
    key: "SessionKey | None",
    workspace: tuple[str, str] | None = None,
) -> int:
    from datetime import UTC, datetime

    from bot.beside import open_forgetting

    async with open_forgetting(settings) as forgetting:
        if person is not None:
            await forgetting.forget_person(*person, datetime.now(UTC))
        if key is not None:
            await forgetting.forget_thread(key)
        if workspace is not None:
            await forgetting.forget_workspace(*workspace)
        return await forgetting.work()


@app.command()
def purge(context: typer.Context) -> None:
    """Take away for good what is older than archive.retention, now and thoroughly."""
    _told_gone(asyncio.run(_purge(_settings(context))))


async def _purge(settings: "Settings") -> int:
    from datetime import UTC, datetime

    from bot.beside import open_forgetting

    async with open_forgetting(settings) as forgetting:
        await forgetting.age(datetime.now(UTC))
        return await forgetting.work(thoroughly=True)


def _told_gone(messages: int) -> None:
    typer.echo(f"{messages:,} messages are gone." if messages != 1 else "1 message is gone.")


class Form(StrEnum):
    """What an export looks like."""

    JSONL = "jsonl"
    MARKDOWN = "markdown"
    HTML = "html"


@app.command()
def export(
    context: typer.Context,
    session: Annotated[
        str, typer.Option(help="All of this session.", metavar="PLATFORM:WORKSPACE:CHANNEL:THREAD")
    ] = "",
    workspace: Annotated[str, typer.Option(help="All of this workspace.", metavar="PLATFORM:WORKSPACE")] = "",
    form: Annotated[
        Form, typer.Option("--format", help="jsonl can be imported again; the others are for reading.")
    ] = Form.JSONL,
    output: Annotated[
        Path | None, typer.Option(help="A file; without, it is printed.", metavar="FILE")
    ] = None,
) -> None:
    """Write down what was said in a session or a workspace."""
    from bot.carry import scope_of

    scope = scope_of(session, workspace)
    if scope is None:
        raise typer.BadParameter(
            "choose one: --workspace slack:T1, or --session slack:T1:C1:1700000000.000100"
        )
    count = asyncio.run(_export(_settings(context), scope, form, output))
    if output is not None:
        typer.echo(f"{count:,} messages are in {output}.")


async def _export(settings: "Settings", scope: "Scope", form: Form, output: Path | None) -> int:
    from bot.beside import open_carrying
    from bot.carry import write_out
    from bot.printed import PRINTERS

    async with open_carrying(settings, out=True) as carrying:
        total = await carrying.count(scope)
        if not total and not await carrying.knows(scope):
            raise ThreadflyError(f"There is nothing of {':'.join(filter(None, scope))} in the archive.")
        with written(output) as to, progress("Writing", total) as tick:
            return await write_out(carrying, scope, PRINTERS[form](), to, tick)


@app.command("import")
def import_(
    context: typer.Context,
    source: Annotated[
        Path,
        typer.Argument(
            help="What `threadfly export --format jsonl` wrote; or Slack's own export, a zip or a folder.",
            metavar="FILE",
        ),
    ],
    workspace: Annotated[
        str, typer.Option(help="Slack's own export: the workspace's id, if not as its users say.")
    ] = "",
) -> None:
    """Take in what was exported. What is there already is passed over, and so is what was forgotten."""
    counted = asyncio.run(_import(_settings(context), source, workspace))
    typer.echo(f"{counted.messages:,} messages were taken in, {counted.left_out:,} were passed over.")


async def _import(settings: "Settings", source: Path, workspace: str) -> "Counted":
    from bot.beside import open_carrying
    from bot.carry import read_in

    async with open_carrying(settings, out=False) as carrying:
        with _read(source, workspace) as pieces, progress("Reading", None) as tick:
            return await read_in(carrying, pieces, tick)


@contextlib.contextmanager
def _read(source: Path, workspace: str) -> "Iterator[Iterator[Piece]]":
    """What a file says, as it is read."""
    import zipfile

    from adapters.slack import exported
    from bot import lines

    try:
        if source.is_dir() or zipfile.is_zipfile(source):
            yield exported.pieces_of(source, workspace)
            return
        with source.open(encoding="utf-8") as file:
            yield lines.pieces_of(file)
    except OSError as error:
        raise ThreadflyError(f"{source} can't be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ThreadflyError(f"{source} is no text in UTF-8") from error


manifest = typer.Typer(help="Print what a platform wants to know of the app.", no_args_is_help=True)
app.add_typer(manifest, name="manifest")
invite = typer.Typer(help="Print the address that brings the bot into a workspace.", no_args_is_help=True)
app.add_typer(invite, name="invite")


@manifest.command("slack")
def manifest_slack(
    name: Annotated[str, typer.Option(help="What the app is called.")] = "Threadfly",
    url: Annotated[str, typer.Option(help="Where Slack reaches this bot, for slack.mode http.")] = "",
) -> None:
    """Print the app manifest: create an app from it at api.slack.com/apps."""
    from adapters.slack.manifest import render

    if url and not url.startswith(("https://", "http://")):
        raise typer.BadParameter("an address begins with https://, as in https://bot.example.com")
    typer.echo(render(name=name, url=url))


@invite.command("discord")
def invite_discord(
    client_id: Annotated[str, typer.Argument(help="The application's id, from its page for developers.")],
) -> None:
    """Print the address by which somebody brings the bot into a server, with the rights that it uses."""
    from adapters.discord.invite import url

    if not client_id.isdecimal():
        raise typer.BadParameter("an application's id is a number, such as 1234567890123456789")
    typer.echo(url(client_id))
