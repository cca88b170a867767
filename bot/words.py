"""Pure: the sentences that the bot says by itself."""

import math

from bot.commands import Command, Offer, Verb
from bot.domain import ThreadSettings
from bot.errors import ModelError, ModelRefusedKey, ModelRefusedRequest

HELP = """\
Ask me anything: mention me, and I answer in a thread. In that thread just go on talking, I remember it.

- `new`: begin afresh in this thread (nothing is deleted)
- `model`: which model answers here; `model NAME` changes it
- `persona`: how I answer here; `persona NAME` changes it
- `recall`: where you talked with me; `recall WORDS` finds what was said, and only you see the answer
- `export`: this thread as a file for you alone; `export html` and `export json` are other forms of it
- `catch up`: what was said since you last spoke, in this thread or in all of yours; only you see the answer
- `stop`: stop the answer I am writing
- `pause` and `resume`: let me be quiet in this thread, and call me back
- `forget thread` and `forget me`: take away for good what I keep of this thread, or of you

What is said in my threads is kept, so that I can remember it."""

NOTHING_TO_STOP = "There is nothing to stop: I am not writing anything here."
STOPPING = "I am stopping."
NO_SESSION = "I have no conversation here. Mention me to begin one."
PAUSED = "I am paused in this thread. Say `resume` to me, and I am back."
STOPPED = "Stopped."
WITHDRAWN = "What I was asked was deleted, so I stopped here."
NO_ANSWER = "The model gave me an empty answer. Try to ask in other words."
CUT_BY_LENGTH = "The answer reached the model's length limit. Say `go on` for more."
TOO_LONG = "I stopped here: this was getting too long. Say `go on` for more."
TOO_SLOW = "I stopped here: this was taking too long. Say `go on` for more, or ask again in other words."
FILTERED = "The model's provider held the rest of this answer back."
HISTORY_UNREAD = "I could not read what was said here before I was called."
SOMETHING_BROKE = "Something broke on my side. Please try again; whoever runs me finds the reason in the log."
TOO_OFTEN_FAILED = "I could not finish this answer after many tries. Please ask again."
NOT_FOR_YOU = "I am not set up to answer you here. Whoever runs me can change that."
MAY_NOT_POST = (
    "I have an answer for you, and no right to post it where you asked. "
    "Whoever looks after that place can change that; then please ask again."
)
AGAIN_NEXT = "I am still writing another answer here. I try this one again right after it."
CUT_OFF = "I lost the right to write here before I was done."
CLOSING = "I am being restarted. Please try again in a moment."


FORGET_HELP = """\
I can forget, for good:
- `forget thread`: all that was said in this thread, if you started it
- `forget me`: all that you said to me in this workspace, and my answers to you. I ask first."""
FORGETTING_THREAD = (
    "I am forgetting what was said in this thread; in a moment nothing of it is left with me. "
    "What stands here on the platform is not mine to delete."
)
NOTHING_TO_FORGET = "I keep nothing of this thread."
NOT_YOUR_THREAD = "Only who started this thread with me can have it forgotten, or one of my admins."
FORGETTING_YOU = (
    "I am forgetting what you said to me in this workspace, and what I answered you; in a moment nothing of "
    "it is left with me. What stands on the platform is not mine to delete."
)


EXPORT_NOT_HERE = "I can't give out files on this platform."
EXPORT_NO_THREAD = (
    "There is no conversation of mine here that I could give you. Say `export` in one of my threads, or add "
    "the link to a message of one: `export html https://...`."
)
EXPORT_NOT_LINKED = (
    "I find no conversation of mine behind that link, or none that you may read from here. "
    "Asked in a direct message with me, I also look into private places."
)
"""The same for what is not there and for what is not theirs, so that it tells nobody anything."""
EXPORT_SENT = "I sent it to you in a direct message."
EXPORT_FAILED = "I could not give you the file just now. Please try again in a minute."
EXPORT_CUT = (
    "What was said after that is more than I give out here; whoever runs me can write all of it down "
    "with `threadfly export`."
)


def exported(title: str, messages: int, number: int, *, whole: bool) -> str:
    """What a file is. `whole`: there is no other one."""
    what = f"“{title}”" if title else "the conversation"
    part = "" if whole else f", file {number}"
    return f"Here is {what}{part}: {_count(messages, 'message')}."


def forget_you(messages: int, threads: int) -> str:
    """What `forget me` takes away, and how to confirm it."""
    if not messages:
        return "I keep nothing that you said in this workspace."
    return (
        f"I keep {_count(messages, 'message')} of yours in {_count(threads, 'thread')} of this workspace. "
        "Say `forget me yes` to me, and I take them away for good, with my answers to you. What others "
        "quoted of it, in their own messages, stays."
    )


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def after(command: Command, offer: Offer, now: ThreadSettings) -> str:
    """What is said when `command` has been carried out; `now` are the settings with it."""
    match command.verb:
        case Verb.HELP:
            return HELP
        case Verb.NEW:
            return "A fresh start: from here on I don't look at what was said above. Nothing is deleted."
        case Verb.STOP:
            return NOTHING_TO_STOP
        case Verb.PAUSE:
            return "I am quiet in this thread from now on. Say `resume` to me, and I am back."
        case Verb.RESUME:
            return "I am back."
        case _:
            return _choice(command, offer, now)


def _choice(command: Command, offer: Offer, now: ThreadSettings) -> str:
    names = offer.of(command.verb)
    listed = ", ".join(f"`{name}`" for name in names)
    what = command.verb.value
    if not command.name:
        present = (now.model if command.verb is Verb.MODEL else now.persona) or names[0]
        return f"The {what} here is `{present}`. There are: {listed}."
    chosen = offer.chosen(command)
    if chosen is None:
        return f"I have no {what} of that name. There are: {listed}."
    return f"From now on the {what} in this thread is `{chosen}`."


def apology(error: ModelError) -> str:
    """What the asker reads when no model answered."""
    if isinstance(error, ModelRefusedKey | ModelRefusedRequest):
        return str(error)
    return "My model does not answer just now. Please try again in a while."


def left_out(shown: int, total: int, summarised: bool) -> str:
    """That the model was not shown everything."""
    rest = "and a summary of what came before" if summarised else "and nothing of what came before"
    return f"I read the newest {shown} of {total} messages, {rest}."


def history_cut(count: int) -> str:
    """That the thread's past was only read in part."""
    return f"Of what was said here before, I could read only the newest {count} messages."


def untaken(names: list[str]) -> str:
    """That some files were not shown to the model."""
    return f"I could not take {', '.join(names)}: I read text files and images of moderate size."


def too_fast(wait_s: float) -> str:
    """That somebody asks more than is allowed, and when to come back."""
    return f"That was a lot at once. I kept what you said; please ask me again in {_while(wait_s)}."


def too_fast_unkept(wait_s: float) -> str:
    """The same, of what is not kept: to catch up, to take a thread out."""
    return f"That was a lot at once. Please ask me again in {_while(wait_s)}."


def _while(wait_s: float) -> str:
    seconds = math.ceil(wait_s)
    return f"{seconds} seconds" if seconds < 120 else f"{math.ceil(seconds / 60)} minutes"
