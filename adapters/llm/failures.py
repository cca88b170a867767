"""What can go wrong with a model, and what each failure means for whoever asked."""

from enum import StrEnum

from bot.errors import ModelError, ModelRefusedKey, ModelRefusedRequest, ModelUnavailable


class Cause(StrEnum):
    """Why one try gave no answer; the word that the log uses."""

    BUSY = "busy"
    """429: too many requests."""
    FAULT = "fault"
    """5xx: the server's own fault."""
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    BROKEN = "broken"
    """The stream ended before the answer did, or made no sense."""
    CREDIT = "credit"
    """429 as well, but nothing to wait for: the account has run out."""
    KEY = "key"
    UNKNOWN_MODEL = "unknown_model"
    TOO_LONG = "too_long"
    FILTERED = "filtered"
    REQUEST = "request"


PASSING = frozenset({Cause.BUSY, Cause.FAULT, Cause.UNREACHABLE, Cause.TIMEOUT, Cause.BROKEN})
"""What may be gone when the same model is asked again."""
FOR_THE_OPERATOR = frozenset({Cause.CREDIT, Cause.KEY, Cause.UNKNOWN_MODEL})
"""What stays until whoever runs the bot does something."""

_SENTENCES: dict[Cause, tuple[type[ModelError], str]] = {
    Cause.BUSY: (ModelUnavailable, "My model has too much to do right now. Please try again in a minute."),
    Cause.FAULT: (ModelUnavailable, "My model's server has trouble right now. Please try again in a minute."),
    Cause.UNREACHABLE: (ModelUnavailable, "I can't reach my model right now. Please try again in a minute."),
    Cause.TIMEOUT: (ModelUnavailable, "My model took too long. Please try again."),
    Cause.BROKEN: (ModelUnavailable, "My model broke off before its answer was complete. Please try again."),
    Cause.CREDIT: (
        ModelUnavailable,
        "My account with the model has run out of credit; please tell whoever runs me.",
    ),
    Cause.KEY: (ModelRefusedKey, "My API key was refused; please tell whoever runs me."),
    Cause.UNKNOWN_MODEL: (
        ModelRefusedRequest,
        "The model that I should use isn't there; please tell whoever runs me, or pick another with `model`.",
    ),
    Cause.TOO_LONG: (
        ModelRefusedRequest,
        "That is more than my model can take in at once. Please make it shorter, or start afresh with `new`.",
    ),
    Cause.FILTERED: (
        ModelRefusedRequest,
        "My model's content filter turned this down. Please put it another way, or start afresh with `new`.",
    ),
    Cause.REQUEST: (
        ModelRefusedRequest,
        "My model didn't accept this. Please put it another way; if that doesn't help, tell whoever runs me.",
    ),
}


class Failed(Exception):
    """One try gave no answer. Carries nothing that the vendor said, which may quote keys or messages."""

    def __init__(self, cause: Cause, *, status: int | None = None, wait_s: float | None = None) -> None:
        super().__init__(cause.value)
        self.cause = cause
        self.status = status
        """What the server answered, if it did."""
        self.wait_s = wait_s
        """How long the server wants us to wait before we ask again, if it said."""

    @property
    def passing(self) -> bool:
        """It may go well when the same model is asked again."""
        return self.cause in PASSING

    @property
    def hands_on(self) -> bool:
        """Another model may be asked. Not to get round a content filter."""
        return self.cause is not Cause.FILTERED

    def error(self) -> ModelError:
        """The error for whoever asked."""
        kind, sentence = _SENTENCES[self.cause]
        return kind(sentence)
