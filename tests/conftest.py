"""What every test starts from: an environment and a working folder in which nothing of ours is set."""

import os
from asyncio.selector_events import BaseSelectorEventLoop
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.databases", "tests.hot_servers"]
"""Not imported where they are used: those would be other fixtures, with a server for each module."""

# No test measures time, so there is no deadline. Where `CI` is set Hypothesis by itself draws the same cases
# for the same commit, so that a change is judged by itself; elsewhere it looks for new ones.
settings.register_profile(
    "threadfly", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("threadfly")


def hang_up_where_the_server_is_closed() -> None:
    """Close what is accepted in the pass of the loop in which its server closes.

    CPython (gh-109564) drops such a connection unclosed, and the warning fails a test that has no part in it.
    """
    accept = BaseSelectorEventLoop._accept_connection2  # type: ignore[attr-defined]

    async def accepted(self: Any, factory: Any, connection: Any, *more: Any) -> None:
        _, _, server, *_ = more
        if server is not None and not server.sockets:
            connection.close()
            return
        await accept(self, factory, connection, *more)

    BaseSelectorEventLoop._accept_connection2 = accepted  # type: ignore[attr-defined]


hang_up_where_the_server_is_closed()

OURS = ("THREADFLY__", "SLACK_", "DISCORD_", "OPENAI_")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what the machine's owner may have set; THREADFLY_TEST_* stays."""
    for name in list(os.environ):
        if name.startswith(OURS) or name in {"THREADFLY_CONFIG", "THREADFLY_ENCRYPTION_KEY"}:
            monkeypatch.delenv(name)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
