"""Slack's markup, both ways."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from adapters.slack import content, markup, streams
from tests.fakes.slack.rules import LITERAL_PING, PING

TRAPS = [
    "<!channel>",
    "<!here|here>",
    "<!subteam^S1>",
    "<@U0ALICE>",
    "@channel",
    "@Here",
    "@everyone",
    "<",
    "@",
    "!",
    "```\n",
    "a",
    " ",
]
traps = st.lists(st.sampled_from(TRAPS) | st.text(max_size=3), max_size=12).map("".join)


@pytest.mark.parametrize(
    ("written", "seen"),
    [
        ("<@U0BOT> hi", "hi"),
        ("hi <@U0BOT|threadfly>", "hi"),
        ("<@U0BOT>, <@U0BOT>: hi", "hi"),
        ("<@U0ALICE> and <@U404>", "@Alice and @U404"),
        ("<#C01|> <#C02|random>", "#general #random"),
        ("<!here> <!subteam^S1|@team> <!date^1^{date}|today>", "@here @team today"),
        ("<https://a.b|https://a.b> <https://a.b?c&amp;d>", "https://a.b https://a.b?c&d"),
        ("<mailto:x@y.z|mail me>", "[mail me](mailto:x@y.z)"),
        ("1 &lt; 2 &amp;&amp; `a &gt; b`", "1 < 2 && `a > b`"),
        ("&lt;@U0BOT&gt; is how to mention", "<@U0BOT> is how to mention"),
        ("", ""),
    ],
)
def test_what_people_wrote_reads_as_they_saw_it(written: str, seen: str) -> None:
    assert markup.readable(written, "U0BOT", {"U0ALICE": "Alice", "C01": "general"}) == seen


@pytest.mark.parametrize("person", ["U0ALICE", "W0GRACE", "USLACKBOT", "U_BOT", "u-alice.1", "alice", "7"])
def test_a_mention_is_known_whatever_shape_the_id_has(person: str) -> None:
    assert markup.people_in(f"<@{person}> and <@{person}|her>, <#C01|x> <!here> <https://a.b/@c>") == {person}


@pytest.mark.parametrize(
    "ping",
    [
        "<@U0ALICE>",
        "<@alice>",
        "<@u-7|her>",
        "_@everyone_",
        "a.@channel",
        "**@here**",
        "(@channel)",
        "@HERE!",
    ],
)
def test_no_way_to_write_a_ping_pings(ping: str) -> None:
    assert markup.defused(ping) != ping


@pytest.mark.parametrize("harmless", ["joe@channel.io", "@hereabouts", "1 <@ 2", "a < b @ c"])
def test_what_pings_nobody_stays_as_it_is(harmless: str) -> None:
    assert markup.defused(harmless) == harmless


def test_a_cut_makes_no_ping_of_a_longer_word() -> None:
    assert markup.plain("@everyone00 and more", 10) == "…"


@given(traps)
def test_nothing_that_is_posted_pings(text: str) -> None:
    for posted in (markup.defused(text), markup.plain(text, 50)):
        assert not PING.search(posted)
        assert not LITERAL_PING.search(posted)


@given(traps)
def test_defusing_changes_nothing_that_is_seen(text: str) -> None:
    assert markup.defused(text).replace(markup.ZERO_WIDTH, "") == text.replace(markup.ZERO_WIDTH, "")


@given(traps)
def test_a_post_is_never_longer_than_it_was_counted(text: str) -> None:
    assert len(markup.defused(text)) <= content.counted(text)


@example("<@<!channel>", 3)
@given(traps, st.integers(0, 40))
def test_what_was_streamed_of_a_growing_text_stays_its_beginning(text: str, cut: int) -> None:
    sent = markup.defused(streams.streamable(text[:cut]))
    assert markup.defused(text).startswith(sent)


@given(st.text(), st.integers(2, 60))
def test_the_fallback_keeps_its_length_and_its_entities_whole(text: str, most: int) -> None:
    short = markup.plain(text, most)
    assert len(short) <= most
    assert not re.search(r"&(?!amp;|lt;|gt;)", short)


def test_a_position_is_the_ts_in_microseconds_and_back() -> None:
    assert markup.position_of("1700000001.000100") == 1_700_000_001_000_100
    assert markup.ts_of(1_700_000_001_000_100) == "1700000001.000100"
    assert markup.position_of("1700000001") == 1_700_000_001_000_000
