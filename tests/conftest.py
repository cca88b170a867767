"""What every test starts from: an environment and a working folder in which nothing of ours is set."""

import os
from pathlib import Path

import pytest

pytest_plugins = ["tests.databases"]

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
