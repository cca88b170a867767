"""Whatever a payload holds, nothing breaks, and what somebody said is taken in all the same."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.slack import buttons, commands, deeds, events, picks, recall, views
from adapters.slack.events import Me
from adapters.slack.tidying import gesture, tidied
from bot.domain import Said, SessionKey

PAYLOADS = Path(__file__).parent.parent / "payloads" / "slack"
ME = Me("T01", "U0BOT", "B01")
RECORDED = {
    path.stem: event
    for path in sorted(PAYLOADS.glob("*.json"))
    if (event := json.loads(path.read_text()).get("event"))
}
GESTURES = {
    name: json.loads((PAYLOADS / f"{name}.json").read_text())
    for name in ("block_actions", "message_action", "slash_command")
}
FOUND = '{"c":"C01","t":"1.000001","p":5,"d":0,"h":"main"}\nlion'
WHO_SAID_WHAT_WHERE = frozenset(
    {
        *("type", "subtype", "channel", "user", "ts", "thread_ts", "bot_id", "text", "hidden", "edited"),
        "blocks",
    }
)
"""What decides whether a message is our business, and in which thread."""

Path_ = tuple[str | int, ...]

odd = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(max_size=8),
    st.sampled_from(["", "0", "1700000001", "1e9", "99999999999999.1", "-1.0"]),
    st.just([]),
    st.just({}),
    st.lists(st.one_of(st.none(), st.integers(), st.text(max_size=3), st.just({})), max_size=3),
    st.dictionaries(
        st.sampled_from(["type", "text", "elements", "ts", "id"]),
        st.one_of(st.none(), st.integers(), st.just([])),
    ),
)


def paths(value: Any, here: Path_ = ()) -> Iterator[Path_]:
    """Every place in a JSON value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, each in inside:
        yield (*here, name)
        yield from paths(each, (*here, name))


def replaced(event: Any, path: Path_, value: Any) -> Any:
    """The event with something else at that place."""
    changed = copy.deepcopy(event)
    inner = changed
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return changed


@st.composite
def changed(draw: st.DrawFn, keep: frozenset[str] = frozenset()) -> tuple[str, Any]:
    """A recorded event with some of its values replaced; those named in `keep` stay at the top."""
    name = draw(st.sampled_from(sorted(RECORDED)))
    event = RECORDED[name]
    for _ in range(draw(st.integers(1, 3))):
        there = [path for path in paths(event) if path[0] not in keep]
        if there:
            event = replaced(event, draw(st.sampled_from(there)), draw(odd))
    return name, event


@given(changed())
def test_no_event_breaks_anything(told: tuple[str, Any]) -> None:
    event = tidied(told[1])
    names = {each: each.lower() for each in events.unknown_names(event)}
    events.parse(event, ME, names)
    events.gone(event, ME)
    commands.stop_order(event, ME, 1_700_000_000.0)
    if event.get("ts"):
        events.as_message(event, ME, names)
        events.edited(event, "C01", ME, names)


@given(changed(WHO_SAID_WHAT_WHERE))
def test_what_somebody_said_is_heard_whatever_stands_beside_it(told: tuple[str, Any]) -> None:
    name, event = told
    before = events.parse(tidied(RECORDED[name]), ME, {})
    if not isinstance(before, Said):
        return
    after = events.parse(tidied(event), ME, {})
    assert isinstance(after, Said)
    assert (after.key, after.message.position, after.addressed) == (
        before.key,
        before.message.position,
        before.addressed,
    )
    assert after.message.text.startswith(before.message.text.partition("\n")[0])


def pressing(action: str, value: str) -> Any:
    """A press of that button."""
    button = {**GESTURES["block_actions"]["actions"][0], "action_id": action, "value": value}
    return {**GESTURES["block_actions"], "actions": [button]}


WINDOW = {
    "type": "view_submission",
    "user": {"id": "U0ALICE", "username": "alice", "name": "alice", "team_id": "T01"},
    "view": {
        "callback_id": views.CALLBACK,
        "private_metadata": '{"c": "C01", "t": "1.000001"}',
        "state": {"values": {views.BLOCK: {views.ACTION: {"type": "plain_text_input", "value": "lion"}}}},
    },
}
MADE = [
    *GESTURES.values(),
    GESTURES["message_action"] | {"callback_id": "threadfly_recall"},
    pressing("threadfly_recall_read_0", FOUND),
    pressing("threadfly_share_offer_0", FOUND),
    WINDOW,
]


def understood(made: Any) -> list[Any]:
    """All that may be seen in a gesture."""
    made = gesture(made)
    return [
        buttons.pressed(made, ME, ""),
        commands.command_order(made, ME, ""),
        commands.shortcut_order(made, ME, ""),
        picks.is_pressed(made) and picks.pressed(made),
        deeds.is_pressed(made) and deeds.pressed(made, "T01"),
        recall.words_of(made),
        views.asking(made, ME),
        views.submitted(made, ME),
    ]


@given(st.data())
def test_no_gesture_breaks_anything(data: st.DataObject) -> None:
    made = data.draw(st.sampled_from(MADE))
    for _ in range(data.draw(st.integers(1, 3))):
        made = replaced(made, data.draw(st.sampled_from(list(paths(made)))), data.draw(odd))
    understood(made)


@pytest.mark.parametrize("made", MADE)
def test_a_gesture_of_slacks_means_the_same_once_it_is_made_sure_of(made: Any) -> None:
    seen = [buttons.pressed(made, ME, ""), commands.command_order(made, ME, "")]
    seen += [commands.shortcut_order(made, ME, ""), picks.is_pressed(made) and picks.pressed(made)]
    seen += [deeds.is_pressed(made) and deeds.pressed(made, "T01"), recall.words_of(made)]
    assert understood(made) == [*seen, views.asking(made, ME), views.submitted(made, ME)]


def test_recorded_payloads_are_tidy_but_for_what_is_null() -> None:
    for event in RECORDED.values():
        names = {each: each.lower() for each in events.unknown_names(event)}
        assert events.parse(tidied(event), ME, names) == events.parse(event, ME, names)


@pytest.mark.parametrize(
    ("ts", "position"),
    [
        ("1700000002.000200", 1_700_000_002_000_200),
        ("1700000002", 1_700_000_002_000_000),
        ("1700000002.5", 1_700_000_002_500_000),
        (1700000002, 1_700_000_002_000_000),
        (1700000002.0002, 1_700_000_002_000_200),
    ],
)
def test_a_time_may_have_fewer_digits_or_be_a_number(ts: Any, position: int) -> None:
    event = tidied({"type": "message", "channel": "D01", "user": "U0ALICE", "text": "hello", "ts": ts})
    said = events.parse(event, ME, {})
    assert isinstance(said, Said)
    assert said.message.position == position


@pytest.mark.parametrize("ts", [None, "", "now", "-1.0", "99999999999999.1", True, [], {}])
def test_what_has_no_time_is_not_our_business(ts: Any) -> None:
    event = tidied({"type": "message", "channel": "D01", "user": "U0ALICE", "text": "hello", "ts": ts})
    assert events.parse(event, ME, {}) is None


def test_a_thread_whose_time_is_broken_is_no_thread() -> None:
    event = {
        "type": "message",
        "channel": "C01",
        "user": "U0ALICE",
        "text": "<@U0BOT> hi",
        "ts": "1700000001.000100",
    }
    said = events.parse(tidied(event | {"thread_ts": "null"}), ME, {})
    assert isinstance(said, Said)
    assert said.key == SessionKey("slack", "T01", "C01", "1700000001.000100")
