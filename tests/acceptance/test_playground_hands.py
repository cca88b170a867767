"""The playground's page while it changes under its visitor's hands."""

import asyncio
import re
from pathlib import Path

import pytest
from playwright.async_api import Page, Route, expect

from bot.domain import Answer, Author, Outcome, Said, SessionKey
from bot.ports import Reply
from tests.acceptance.browser import browser, context, page
from tests.acceptance.playground import Place, box, channel, place, thread, visit
from tests.fakes.playground import Core, Marks, served

__all__ = ["browser", "context", "page", "place"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

PATIENCE_S = 10.0


class Slowly:
    """A bot that says one more word whenever it is told to, until it is stopped."""

    def __init__(self) -> None:
        self._words: asyncio.Queue[str] = asyncio.Queue()
        self._said = ""

    def say(self, text: str) -> None:
        """What the whole answer reads from now on."""
        self._words.put_nowait(text)

    async def __call__(self, core: Core, reply: Reply, said: Said) -> None:
        async with asyncio.TaskGroup() as tasks:
            grows = tasks.create_task(self._grow(reply))
            await core.stopped.wait()
            grows.cancel()
        await reply.finish(Answer(f"{self._said} Stopped.", Outcome.STOPPED))

    async def _grow(self, reply: Reply) -> None:
        while True:
            self._said = await self._words.get()
            await reply.show(self._said)


async def growing(page: Page, place: Place, text: str) -> Slowly:
    """Ask for an answer, which reads `text` so far."""
    script = place.core.script = Slowly()
    await visit(page, place)
    await box(page).fill("@threadfly tell me")
    await page.keyboard.press("Enter")
    script.say(text)
    await expect(thread(page).last.locator(".body")).to_contain_text(text.partition("\n")[0])
    return script


async def expect_growth(page: Page, place: Place, text: str) -> None:
    """Wait until the page was told of the answer that reads so, where it is not in sight."""
    room = place.platform.room
    async with asyncio.timeout(PATIENCE_S):
        while not any(post.text == text for post in await room.news(("general",), 0, 100)):  # noqa: ASYNC110 -- of another task
            await asyncio.sleep(0.01)
    await room.say("joe", "random", None, "a mark that comes later")
    await expect(page.locator(".pill")).to_be_visible()


async def press_on(page: Page, selector: str) -> None:
    """Put the mouse down in the middle of something."""
    spot = await page.locator(selector).bounding_box()
    assert spot is not None
    await page.mouse.move(spot["x"] + spot["width"] / 2, spot["y"] + spot["height"] / 2)
    await page.mouse.down()


async def test_stop_counts_though_the_answer_grows_while_it_is_pressed(page: Page, place: Place) -> None:
    script = await growing(page, place, "One")
    await press_on(page, "#thread .buttons button")
    script.say("One, two")
    await expect(thread(page).last.locator(".body")).to_contain_text("One, two")
    await page.mouse.up()
    await expect(thread(page).last).to_contain_text("One, two Stopped.")


async def test_the_replies_of_a_thread_open_though_one_grows_meanwhile(page: Page, place: Place) -> None:
    script = await growing(page, place, "One")
    await page.keyboard.press("Escape")
    await expect(page.locator("#thread")).to_be_hidden()
    await press_on(page, "#main .replies")
    script.say("One, two")
    await expect_growth(page, place, "One, two")
    await page.mouse.up()
    await expect(thread(page).last).to_contain_text("One, two")


async def test_what_is_marked_in_a_growing_answer_stays_marked(page: Page, place: Place) -> None:
    script = await growing(page, place, "First paragraph.\n\nSecond")
    await thread(page).last.locator("p").first.click(click_count=3)
    script.say("First paragraph.\n\nSecond one.\n\nThird")
    await expect(thread(page).last.locator(".body")).to_contain_text("Third")
    assert (await page.evaluate("getSelection().toString()")).strip() == "First paragraph."


async def test_a_button_that_becomes_another_does_what_it_says(page: Page, place: Place) -> None:
    async def fails(core: Core, reply: Reply, said: Said) -> None:
        await reply.show("It begins")
        await core.stopped.wait()
        await reply.finish(Answer("It failed.", Outcome.FAILED))

    place.core.script = fails
    await visit(page, place)
    await box(page).fill("@threadfly hello")
    await page.keyboard.press("Enter")
    await thread(page).last.get_by_role("button", name="Stop").click()
    await thread(page).last.get_by_role("button", name="Try again").click()
    await place.core.heard(lambda event: getattr(event, "button", None) == "again")


async def test_what_was_edited_elsewhere_is_what_one_edits(page: Page, place: Place) -> None:
    room = place.platform.room
    said = await room.say("ann", "general", None, "first words")
    await visit(page, place)
    await expect(channel(page)).to_have_count(1)
    await room.edit("ann", said.position, "other words")
    await expect(channel(page)).to_contain_text("other words")
    await channel(page).hover()
    await page.get_by_role("button", name="Edit message").click()
    await expect(page.get_by_role("textbox", name="Edit your message")).to_have_value("other words")


async def test_an_edit_far_above_leaves_no_gap(page: Page, place: Place) -> None:
    room = place.platform.room
    said = [await room.say("joe", "general", None, f"number {n}.") for n in range(120)]
    await visit(page, place)
    await expect(channel(page)).to_have_count(50)
    await room.edit("joe", said[3].position, "number 3, edited")
    await room.say("joe", "general", None, "a mark that comes later")
    await expect(channel(page).last).to_contain_text("a mark that comes later")
    await expect(channel(page)).to_have_count(51)
    for count in (101, 121):
        await page.get_by_role("button", name="Show earlier messages").click()
        await expect(channel(page)).to_have_count(count)
    await expect(channel(page).nth(3)).to_contain_text("number 3, edited")


async def test_what_was_opened_while_the_server_was_away_is_there_when_it_is_back(
    page: Page, tmp_path: Path
) -> None:
    marks = Marks()
    async with served(tmp_path, Core(), marks) as (platform, server):
        port, url = server.port, server.url
        root = (await platform.room.say("joe", "general", None, "the first post")).position
        await platform.room.say("joe", "general", root, "a reply")
        await platform.room.say("joe", "random", None, "something random")
        await page.goto(url)
        await expect(channel(page).get_by_text("1 reply")).to_be_visible()
    await expect(page.get_by_text("Reconnecting")).to_be_visible()
    await page.get_by_role("link", name="random").click()
    await expect(page.locator("#main .sorry")).to_contain_text("can't be reached")
    await expect(page.get_by_role("heading", name="random", exact=True)).to_be_visible()
    async with served(tmp_path, Core(), marks, port=port):
        await expect(channel(page)).to_contain_text("something random")
        await expect(page.locator("#main .sorry")).to_be_empty()
        await page.go_back()
        await expect(channel(page)).to_contain_text("the first post")
        await page.go_forward()
        await expect(channel(page)).to_contain_text("something random")


async def test_earlier_messages_that_cannot_be_had_just_now_are_asked_for_again(
    page: Page, tmp_path: Path
) -> None:
    marks = Marks()
    async with served(tmp_path, Core(), marks) as (platform, server):
        port, url = server.port, server.url
        for n in range(60):
            await platform.room.say("joe", "general", None, f"number {n}.")
        await page.goto(url)
        await expect(channel(page)).to_have_count(50)
    await expect(page.get_by_text("Reconnecting")).to_be_visible()
    await page.get_by_role("button", name="Show earlier messages").click()
    await expect(page.locator("#main .sorry")).to_contain_text("can't be reached")
    async with served(tmp_path, Core(), marks, port=port):
        await expect(page.get_by_text("Reconnecting")).to_be_hidden()
        await page.get_by_role("button", name="Show earlier messages").click()
        await expect(channel(page)).to_have_count(60)


async def test_who_is_chosen_last_speaks_however_slow_the_answers_are(page: Page, place: Place) -> None:
    await visit(page, place)
    held = asyncio.Event()

    async def hold(route: Route) -> None:
        await held.wait()
        await route.continue_()

    sockets: list[str] = []
    page.on("websocket", lambda socket: sockets.append(socket.url))
    await page.route(re.compile(r"/api/room\?as=joe"), hold)
    joes = page.expect_request(re.compile(r"/api/room\?as=joe"))
    async with joes:
        await page.locator(".cast label", has_text="Joe").click()
    await page.locator(".cast label", has_text="Mei").click()
    await expect(page.get_by_role("link", name="secret-plans")).to_be_visible()
    async with page.expect_response(re.compile(r"/api/room\?as=joe")):
        held.set()
    await box(page).fill("who says this?")
    await page.keyboard.press("Enter")
    await expect(channel(page).locator(".byline strong")).to_have_text("Mei")
    await expect(page.get_by_role("radio", name="Mei")).to_be_checked()
    assert [url for url in sockets if "as=joe" in url] == []


async def test_a_note_stays_where_it_came(page: Page, place: Place) -> None:
    room = place.platform.room
    await visit(page, place)
    await room.say("ann", "general", None, "before")
    await expect(channel(page)).to_have_count(1)
    await place.platform.tell(
        SessionKey("web", "playground", "general", "main"), Author("ann", "Ann"), "between the two"
    )
    await expect(page.locator("#main .note")).to_have_count(1)
    await room.say("ann", "general", None, "after")
    await expect(channel(page)).to_have_count(2)
    items = page.locator("#main .posts > li")
    order = [re.compile("before"), re.compile("between the two"), re.compile("after")]
    await expect(items).to_have_text(order)
    await page.reload()
    await expect(items).to_have_text(order)


async def test_a_link_to_a_thread_that_is_not_there_says_so(page: Page, place: Place) -> None:
    await visit(page, place, hash="#/general/17")
    await expect(page.locator("#thread")).to_contain_text("There is no such thread")


async def test_a_thread_that_is_opened_by_its_link_is_where_one_types(page: Page, place: Place) -> None:
    root = (await place.platform.room.say("joe", "general", None, "the first post")).position
    await page.goto(f"{place.url}/#/general/{root}")
    await expect(thread(page)).to_have_count(1)
    await expect(channel(page)).to_have_count(1)
    await expect(box(page, "Reply")).to_be_focused()


async def test_leaving_a_thread_in_a_narrow_window_leads_back_to_where_it_was_opened(
    page: Page, place: Place
) -> None:
    await place.platform.room.say("joe", "general", None, "the first post")
    await page.set_viewport_size({"width": 600, "height": 700})
    await page.goto(place.url)
    await channel(page).focus()
    await page.keyboard.press("Enter")
    await page.get_by_role("button", name="Back to the channel").press("Enter")
    await expect(channel(page)).to_be_focused()


async def test_who_has_gone_on_is_not_led_back_by_an_answer_that_comes_late(page: Page, place: Place) -> None:
    await visit(page, place)
    held = asyncio.Event()

    async def hold(route: Route) -> None:
        await held.wait()
        await route.continue_()

    await page.route("**/api/posts/general?as=ann", hold)
    await box(page).fill("@threadfly hello")
    async with page.expect_request("**/api/posts/general?as=ann"):
        await page.keyboard.press("Enter")
    await page.get_by_role("link", name="random").click()
    async with page.expect_response("**/api/posts/general?as=ann"):
        held.set()
    await place.platform.room.say("joe", "random", None, "a mark that comes later")
    await expect(channel(page)).to_contain_text("a mark that comes later")
    await expect(page).to_have_url(re.compile("#/random$"))
    await expect(page.locator("#thread")).to_be_hidden()


@pytest.mark.parametrize(
    ("text", "from_right"),
    [("مرحبا بالعالم!", True), ("- مرحبا", True), ("hello مرحبا", False), ("`x` مرحبا", False)],
)
async def test_text_runs_as_its_first_letter_does(
    page: Page, place: Place, text: str, from_right: bool
) -> None:
    await place.platform.room.say("joe", "general", None, text)
    await visit(page, place)
    block = channel(page).locator(".body").locator("p, li")
    await expect(block).to_have_count(1)
    assert await block.evaluate(STARTS_RIGHT) is from_right
    await box(page).fill(text)
    assert await box(page).evaluate("box => box.matches(':dir(rtl)')") is from_right


STARTS_RIGHT = """block => {
  const range = document.createRange();
  range.selectNodeContents(block);
  const [words, room] = [range.getBoundingClientRect(), block.getBoundingClientRect()];
  return words.left - room.left > room.right - words.right;
}"""


async def test_a_message_of_lines_alone_is_shown(page: Page, place: Place) -> None:
    await place.platform.room.say("joe", "general", None, "first" + "\n" * 39_000 + "last")
    await visit(page, place)
    await expect(channel(page)).to_contain_text("last")
