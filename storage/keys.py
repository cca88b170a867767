"""Every key that Threadfly writes in Dragonfly. Nothing else puts one together.

Keys of one session share a hash tag, so that a cluster keeps them on one node and a script may
touch them together.
"""

import re
from dataclasses import dataclass

SCHEMA = 1
"""Raised when the meaning of keys changes, so that two releases at once do not see each other's."""

_ARCHIVE_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one archive: archives that share a server never see each other's."""

    archive_id: str
    """A short random text that the archive made when it was created."""

    def __post_init__(self) -> None:
        if not _ARCHIVE_ID.fullmatch(self.archive_id):
            raise ValueError("an archive id is made of letters, digits, - and _")

    def window(self, session_id: int, limit: int) -> str:
        """The window of a session, at most `limit` messages long.

        The limit is in the key: a window that was cut shorter must not pass for a longer one.
        """
        return self._of_session(session_id, f"w{limit}")

    def count(self, place: str, who: str) -> str:
        """How often somebody (for "": everybody) asked in a window of time; those of a place go together."""
        return f"threadfly:{SCHEMA}:{{{self.archive_id}:{place}}}:n:{who}"

    def memo(self, name: str) -> str:
        """Something that is remembered for a few seconds."""
        return f"threadfly:{SCHEMA}:{{{self.archive_id}:{name}}}:memo"

    def _of_session(self, session_id: int, name: str) -> str:
        return f"threadfly:{SCHEMA}:{{{self.archive_id}:{session_id}}}:{name}"
