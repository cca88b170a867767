"""Every configured model, ready to be asked over one shared HTTP client. Heavy to import."""

from collections.abc import Sequence

from .chat import Chat, open_client
from .models import ModelSettings
from .transport import PACE_S, MergingTransport


class Bench:
    """Owns the connections to the models' servers."""

    def __init__(self, models: Sequence[ModelSettings], pace_s: float | None) -> None:
        """No I/O; may be called in any thread."""
        self._client = open_client(MergingTransport(PACE_S if pace_s is None else pace_s))
        self._chats = {each.name: Chat(each, self._client) for each in models}

    def chat(self, name: str) -> Chat:
        """The model called `name`, which is configured."""
        return self._chats[name]

    async def close(self) -> None:
        """Close every connection."""
        await self._client.aclose()
