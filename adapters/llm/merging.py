"""Pure: fewer, larger events in an event stream of chat completions, with nothing lost.

Servers send an event for each token, and each costs the client about half a millisecond. Events
that carry nothing but text become one; everything else passes as it came, in its place.
"""

from typing import Any

import orjson

MOST_EVENT_BYTES = 4 * 1024 * 1024
"""An event that is longer than this without an end is no event."""
TEXT_FIELDS = frozenset({"content", "reasoning_content", "reasoning"})
"""The fields of a delta that grow by text; the latter two are how servers show a model's thoughts."""
IDLE_FIELDS = frozenset({"delta", "index", "content_filter_results", "content_filter_offsets"})
"""Fields of a choice that don't keep its text from being merged; Azure repeats the latter two each time."""
SAME_FIELDS = ("id", "model", "system_fingerprint")
"""What must agree in two events that become one. The rest of their frames is a time, padding or null."""


class EventTooLong(Exception):
    """The stream is no event stream, or a hostile one."""


class Merger:
    """Turns the packets of one event stream into events; each `feed` merges what it completes."""

    def __init__(self) -> None:
        self._rest = bytearray()
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
        end = self._rest.rfind(b"\n\n", searched)
        if end < 0:
            if len(self._rest) > MOST_EVENT_BYTES:
                raise EventTooLong
            return b""
        complete = bytes(self._rest[:end])
        del self._rest[: end + 2]
        return self._merge(complete)

    def finish(self) -> bytes:
        """What is left at the end of the stream: an event that lacks its blank line."""
        rest, self._rest = bytes(self._rest), bytearray()
        return self._merge(rest)

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
        event = self._event(block)
        texts = _texts(event) if event is not None else None
        if event is None or texts is None:
            self._flush()
            if not block.startswith(b":") or b"\n" in block:
                self._merged.append(block + b"\n\n")
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

    def _event(self, block: bytes) -> dict[str, Any] | None:
        """The event's JSON object, if it is one and comes with nothing else (a type, an id)."""
        if b"\n" not in block and block.startswith(b"data:"):
            data = block[5:]
        else:
            fields = [line.partition(b":") for line in block.split(b"\n") if not line.startswith(b":")]
            if any(name != b"data" for name, _, _ in fields):
                return None
            data = b"\n".join(value for _, _, value in fields)
        if data.strip().startswith(b"[DONE]"):
            self.ended = True
            return None
        try:
            event = orjson.loads(data)
        except orjson.JSONDecodeError:
            return None
        if not isinstance(event, dict):
            return None
        self.ended = self.ended or _finishes(event)
        return event

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
            self._merged.append(b"data: " + orjson.dumps(self._base) + b"\n\n")
        self._texts = {}


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
