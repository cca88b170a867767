"""A post beside the replies on Discord is known by its flag, and without it by what it looks like."""

import pytest

from adapters import words
from adapters.discord import asides, found
from adapters.discord.sending import BESIDE
from bot import taking

FILE = {"filename": f"{taking.PREFIX}-tea.md"}


@pytest.mark.parametrize(
    "post",
    [
        {"content": "You are too fast for me.", **BESIDE},
        {"content": "> a quote", "flags": found.SUPPRESS_NOTIFICATIONS},
        {"content": asides.RECALL_CLOSED},
        {"content": asides.EXPORT_CLOSED},
        {"content": "Here is “tea”: 2 messages.", "attachments": [FILE]},
        {"content": "", "embeds": [{"description": "I found nothing."}]},
    ],
)
def test_what_stands_beside_replies(post: dict[str, object]) -> None:
    assert asides.is_beside(post)


@pytest.mark.parametrize(
    "post",
    [
        {"content": "Tea is a drink.", "flags": 0},
        {"content": "", "attachments": [{"filename": words.REST_NAME}]},
        {"content": "-# It was stopped."},
    ],
)
def test_what_may_be_part_of_a_reply(post: dict[str, object]) -> None:
    assert not asides.is_beside(post)
