"""Every error that leaves an edge of Threadfly.

    ThreadflyError                  has a sentence for whoever meets it
      SettingsError                 a wrong key or value; stops the start
      StoreError
        ArchiveUnavailable          SQL can't be reached, is full, or is locked for too long
        ArchiveCorrupt              the file is there, and is no database of ours
        ArchiveOutdated             the schema is older (or newer) than this release
      LeaseLost                     the turn is somebody else's by now: stop, post nothing more
      ModelError
        ModelUnavailable            after every retry: overloaded, unreachable, timed out
        ModelRefusedKey             401, 403: the operator must act
        ModelRefusedRequest         400: this prompt won't work, nor will a retry
      PlatformError
        PlatformUnavailable         after every retry; what was not posted is taken over later
        PlatformForbidden           the bot lacks a right there
          MayNotAnswer              known before anything was asked of the model; the sentence is the asker's
        PostGone                    the post to edit was deleted, or its stream is dead

The hot context has none: it is disposable, so its failures are misses.
"""


class ThreadflyError(Exception):
    """An error that has a sentence for people: `str(error)` says what happened and what to do."""


class SettingsError(ThreadflyError):
    """A setting is wrong; the sentence names the key, what was found and what is allowed."""


class StoreError(ThreadflyError):
    """A store failed."""


class ArchiveUnavailable(StoreError):
    """The archive can't be reached or written; nothing of the call was committed."""


class ArchiveCorrupt(StoreError):
    """The archive's file is no database, or a damaged one."""


class ArchiveOutdated(StoreError):
    """The archive's schema does not fit this release."""


class LeaseLost(ThreadflyError):
    """The turn was taken over, or may have been: whoever gets this posts nothing more."""


class ModelError(ThreadflyError):
    """The model gave no answer."""


class ModelUnavailable(ModelError):
    """No model answered, after every retry and fallback."""


class ModelRefusedKey(ModelError):
    """The model's server refused our key."""


class ModelRefusedRequest(ModelError):
    """The model's server refused this very request."""


class PlatformError(ThreadflyError):
    """A platform did not do what it was asked."""


class PlatformUnavailable(PlatformError):
    """The platform can't be reached, or failed after every retry."""


class PlatformForbidden(PlatformError):
    """The bot has no right to do this there."""


class MayNotAnswer(PlatformForbidden):
    """The bot has no right to answer there; the sentence tells the asker what to do."""


class PostGone(PlatformError):
    """The post to change is not there any more."""
