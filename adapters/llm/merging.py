"""Pure: fewer, larger events in an event stream of chat completions, with nothing lost.

Servers send an event for each token, and each costs the client about half a millisecond. Events
that carry nothing but text become one; everything else passes as it came, in its place, or as OpenAI would
have written it. An answer that was not streamed becomes one event.
"""

from typing import Any

import orjson

from .dialects import as_error, spelled

MOST_EVENT_BYTES = 4 * 1024 * 1024
"""An event that is longer than this without an end is no event."""
TEXT_FIELDS = frozenset({"content", "reasoning_content", "reasoning"})
"""The fields of a delta that grow by text; the latter two are how servers show a model's thoughts."""
IDLE_FIELDS = frozenset({"delta", "index", "content_filter_results", "content_filter_offsets"})
"""Fields of a choice that don't keep its text from being merged; Azure repeats the latter two each time."""
ERROR = b"error"
"""The type of an event that tells of an error; in llama.cpp's older versions the name of its one field."""
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
SAME_FIELDS = ("id", "model", "system_fingerprint")
"""What must agree in two events that become one. The rest of their frames is a time, padding or null."""


class EventTooLong(Exception):
    """The stream is no event stream, or a hostile one."""


class Merger:
    """Turns the packets of one event stream into events; each `feed` merges what it completes."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._is_whole: bool | None = None
        """One JSON text instead of events; None until the first byte that tells."""
        self._half_break = False
        self._merged: list[bytes] = []
        self._base: dict[str, Any] = {}
        self._block = b""
        self._texts: dict[str, list[str]] = {}
        self.texts = 0
        """How many events carried text up to now."""
        self.spoke = False
        """Some of that text was the answer's own."""
        self.ended = False
        """The server said that the answer is complete."""

    def feed(self, packet: bytes) -> bytes:
        """The events that `packet` completes. Raises `EventTooLong`."""
        searched = max(0, len(self._rest) - 1)
        self._rest += self._with_plain_breaks(packet)
        if self._is_whole is None:
            searched = self._begin()
        end = -1 if self._is_whole else self._rest.rfind(b"\n\n", searched)
        if end < 0:
            if len(self._rest) > MOST_EVENT_BYTES:
                raise EventTooLong
            return b""
        complete = bytes(self._rest[:end])
        del self._rest[: end + 2]
        return self._merge(complete)

    def finish(self) -> bytes:
        """What is left at the end of the stream: an event that lacks its blank line, or all of it."""
        rest, self._rest = bytes(self._rest), bytearray()
        return self._one(rest) if self._is_whole else self._merge(rest)

    def _begin(self) -> int:
        """See by the first byte what comes: Content-Types tell little. Returns where to look for the end."""
        start = self._rest.removeprefix(BYTE_ORDER_MARK).lstrip()
        if start:
            self._rest = start
            self._is_whole = start[:1] == b"{"
        return 0

    def _one(self, body: bytes) -> bytes:
        """The event that stands for an answer, or an error, that came at once."""
        event = _object(body)
        if event is None:
            return b""
        self.ended = bool(event.get("choices"))
        return _written(spelled(event))

    def _with_plain_breaks(self, packet: bytes) -> bytes:
        """`packet` with LF for the CRLF and CR that are allowed too, even when cut between the two."""
        if self._half_break and packet:
            self._half_break = False
            packet = packet[1:] if packet[:1] == b"\n" else packet
        if b"\r" in packet:
            self._half_break = packet.endswith(b"\r")
            packet = packet.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return packet

    def _merge(self, complete: bytes) -> bytes:
        for block in complete.split(b"\n\n"):
            if block := block.strip(b"\n"):
                self._take(block)
        self._flush()
        merged, self._merged = b"".join(self._merged), []
        return merged

    def _take(self, block: bytes) -> None:
        is_error, data = _read(block)
        if not data:
            return  # a comment, or what only an event source that connects again needs
        event = _object(data)
        if is_error:
            self._pass(_written(as_error(event)))
            return
        if event is None:
            self.ended = self.ended or data.startswith(b"[DONE]")
            self._pass(block + b"\n\n")
            return
        self.ended = self.ended or _finishes(event)
        texts = _texts(event)
        if texts is None:
            plain = spelled(event)
            self._pass(block + b"\n\n" if plain is event else _written(plain))
            return
        self.texts += any(texts.values())
        self.spoke = self.spoke or bool(texts.get("content"))
        if self._texts and self._continues(event, texts):
            for name, text in texts.items():
                self._texts[name].append(text)
        else:
            self._flush()
            self._base, self._block = event, block
            self._texts = {name: [text] for name, text in texts.items()}

    def _pass(self, event: bytes) -> None:
        self._flush()
        self._merged.append(event)

    def _continues(self, event: dict[str, Any], texts: dict[str, str]) -> bool:
        return (
            texts.keys() == self._texts.keys()
            and all(event.get(name) == self._base.get(name) for name in SAME_FIELDS)
            and event["choices"][0].get("index") == self._base["choices"][0].get("index")
        )

    def _flush(self) -> None:
        """Bring out the event that was still growing; unchanged if it stayed alone."""
        if not self._texts:
            return
        if all(len(texts) == 1 for texts in self._texts.values()):
            self._merged.append(self._block + b"\n\n")
        else:
            delta = self._base["choices"][0]["delta"]
            delta.update({name: "".join(texts) for name, texts in self._texts.items()})
            self._merged.append(_written(self._base))
        self._texts = {}


def _read(block: bytes) -> tuple[bool, bytes]:
    """Whether an event is said to be an error, and its data; b"" where it has none."""
    if b"\n" not in block and block.startswith(b"data:"):
        return False, block[5:].strip()
    fields = [line.partition(b":") for line in block.split(b"\n")]
    data = b"\n".join(value for name, _, value in fields if name == b"data").strip()
    if told := b"".join(value for name, _, value in fields if name == ERROR):
        return True, told
    return any(name == b"event" and value.strip() == ERROR for name, _, value in fields), data


def _object(data: bytes) -> dict[str, Any] | None:
    try:
        event = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    return event if isinstance(event, dict) else None


def _written(event: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(event) + b"\n\n"


def _finishes(event: dict[str, Any]) -> bool:
    choices = event.get("choices")
    return isinstance(choices, list) and any(
        isinstance(choice, dict) and choice.get("finish_reason") for choice in choices
    )


def _texts(event: dict[str, Any]) -> dict[str, str] | None:
    """The text fields of an event that carries text and nothing else; None for any other event."""
    choices = event.get("choices")
    if not isinstance(choices, list) or len(choices) != 1 or event.get("usage") or event.get("error"):
        return None
    if not isinstance(event.get("id", ""), str):
        return None
    choice = choices[0]
    if not isinstance(choice, dict) or not isinstance(delta := choice.get("delta"), dict):
        return None
    if any(value for name, value in choice.items() if name not in IDLE_FIELDS):
        return None
    texts = {}
    for name, value in delta.items():
        if name in TEXT_FIELDS and isinstance(value, str):
            texts[name] = value
        elif value and (name, value) != ("role", "assistant"):
            return None
    return texts or None
