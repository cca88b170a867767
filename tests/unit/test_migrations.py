"""The archive's migrations are one line: two that were written at the same time would stop every start."""

import ast
from pathlib import Path

VERSIONS = Path(__file__).parents[2] / "storage" / "migrations" / "versions"


def named(file: Path) -> dict[str, str | None]:
    """The revision of a file, and the one that it follows."""
    assigned = [node for node in ast.parse(file.read_text()).body if isinstance(node, ast.Assign)]
    values = {
        target.id: each.value for each in assigned for target in each.targets if isinstance(target, ast.Name)
    }
    return {name: ast.literal_eval(values[name]) for name in ("revision", "down_revision")}


def test_each_follows_the_one_before_and_is_named_by_its_file() -> None:
    before = None
    for file in sorted(VERSIONS.glob("[0-9]*.py")):
        assert named(file) == {"revision": file.name.partition("_")[0], "down_revision": before}
        before = named(file)["revision"]
    assert before is not None
