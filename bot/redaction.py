"""Keeping secrets out of what people read. No I/O."""

import re
from collections.abc import Iterable

HIDDEN = "***"
_LEAST_LENGTH = 6
_PASSWORD = re.compile(
    r"""(?P<user>[a-z][a-z0-9+.-]*://[^\s:/@]*):[^\s"']+@|(?P<query>[?&]password=)[^&\s"']+""", re.IGNORECASE
)


def without_password(text: str) -> str:
    """`text` with the password of every address in it hidden."""
    return _PASSWORD.sub(
        lambda found: f"{found['user']}:{HIDDEN}@" if found["user"] else found["query"] + HIDDEN, text
    )


class Redactor:
    """Hides known secrets and the passwords of addresses in any text."""

    def __init__(self, secrets: Iterable[str]) -> None:
        known = sorted({secret for secret in secrets if len(secret) >= _LEAST_LENGTH}, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, known))) if known else None

    def __call__(self, text: str) -> str:
        """`text` without any of them."""
        text = without_password(text)
        return self._known.sub(HIDDEN, text) if self._known else text
