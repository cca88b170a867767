"""The folder that the bot keeps its files in."""

import tempfile
from pathlib import Path

from bot.errors import ThreadflyError

OWNER_ONLY = 0o700


def prepare_data_folder(path: Path) -> None:
    """Make the folder if it is missing, and see that it can be written. Raises `ThreadflyError`."""
    try:
        path.mkdir(mode=OWNER_ONLY, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise ThreadflyError(
            f"the data folder {path.absolute()} can't be written ({error.strerror or error}); "
            "set data_dir to a folder that can"
        ) from error
