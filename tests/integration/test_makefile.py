"""The Makefile without the network: which Python it takes, and what it does again when."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
INPUTS = ("requirements.txt", "requirements-dev.txt", "pyproject.toml")
STAMPS = (".python", ".runtime", ".dev")
HASHED = re.compile(r"^(?P<name>[\w.-]+)(?:\[[\w,]+\])?==(?P<version>[\w.]+)(?P<marker> ;[^\\]+)? \\$")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout in which everything was installed just now."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    venv = tmp_path / ".venv"
    venv.mkdir()
    for age, name in enumerate([*reversed(STAMPS), *reversed(INPUTS)]):
        path = tmp_path / name if name in INPUTS else venv / name
        path.touch()
        os.utime(path, (1_000_000_000 - age, 1_000_000_000 - age))
    return tmp_path


def make(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    variables = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(
        ["make", *words], cwd=folder, env=variables, capture_output=True, text=True, check=False
    )


def interpreter(folder: Path, body: str) -> Path:
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def plan(folder: Path, target: str) -> str:
    """What the target would do."""
    return make(folder, "-n", target).stdout


def test_the_second_run_only_starts_the_bot(checkout: Path) -> None:
    assert plan(checkout, "run").splitlines() == [".venv/bin/threadfly run"]


@pytest.mark.parametrize("changed", ["requirements.txt", "pyproject.toml"])
def test_a_changed_requirement_is_installed_by_its_hash(changed: str, checkout: Path) -> None:
    (checkout / changed).touch()
    lines = plan(checkout, "run").splitlines()
    assert lines[-1] == ".venv/bin/threadfly run"
    assert any("--require-hashes -r requirements.txt" in line for line in lines)
    assert not any("requirements-dev.txt" in line for line in lines)


@pytest.mark.parametrize("target", ["test", "check", "bench", "bench-quick", "bench-full", "format", "lock"])
def test_what_developers_need_is_installed_for_their_targets_alone(target: str, checkout: Path) -> None:
    assert "pip" not in plan(checkout, target).replace("pip compile", "")
    (checkout / "requirements-dev.txt").touch()
    assert "--require-hashes -r requirements-dev.txt" in plan(checkout, target)
    assert "pip" not in plan(checkout, "run")


def test_a_python_that_is_too_old_is_told_in_one_line(checkout: Path) -> None:
    shutil.rmtree(checkout / ".venv")
    old = interpreter(checkout, '[ "$1" = --version ] && echo Python 3.9.18; exit 1')
    told = make(checkout, "run", f"PYTHON={old}")
    assert told.returncode != 0
    first, *_ = told.stderr.splitlines()
    assert first.startswith("Threadfly needs Python 3.11 or later, and found Python 3.9.18; install one")
    assert not (checkout / ".venv").exists()


def test_a_python_that_is_absent_is_told_in_one_line(checkout: Path) -> None:
    shutil.rmtree(checkout / ".venv")
    first, *_ = make(checkout, "run", "PYTHON=/no/such/python").stderr.splitlines()
    assert first.startswith("Threadfly needs Python 3.11 or later, and found none; install one")


def test_a_python_without_venv_is_told_in_one_line(checkout: Path) -> None:
    shutil.rmtree(checkout / ".venv")
    bare = interpreter(checkout, 'case "$2" in *ensurepip*) exit 1;; esac; exit 0')
    first, *_ = make(checkout, "run", f"PYTHON={bare}").stderr.splitlines()
    assert first.startswith(f"Threadfly needs Python's venv module, which {bare} lacks")


def test_a_python_with_a_space_in_its_path_makes_the_environment(checkout: Path) -> None:
    shutil.rmtree(checkout / ".venv")
    folder = checkout / "my python"
    folder.mkdir()
    python = interpreter(folder, '[ "$2" = venv ] && mkdir "$3"; exit 0')
    told = make(checkout, ".venv/.python", f"PYTHON={python}")
    assert (told.returncode, told.stderr) == (0, "")
    assert (checkout / ".venv" / ".python").exists()


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_every_requirement_is_pinned_and_hashed_and_names_no_index(name: str) -> None:
    lines = (ROOT / name).read_text("utf-8").splitlines()
    for number, line in enumerate(lines):
        if line and not line.startswith((" ", "#")):
            assert HASHED.match(line), line
            assert lines[number + 1].startswith("    --hash=sha256:")
        assert "://" not in line


def test_both_files_pin_the_same_versions() -> None:
    runtime, dev = (pins((ROOT / name).read_text("utf-8")) for name in INPUTS[:2])
    assert {
        name: (runtime[name], dev[name]) for name in runtime.keys() & dev if runtime[name] != dev[name]
    } == {}


def pins(text: str) -> dict[str, str]:
    found = (HASHED.match(line) for line in text.splitlines())
    return {match["name"]: match["version"] for match in found if match}
