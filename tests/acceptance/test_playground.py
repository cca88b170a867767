"""The playground in a real browser, with a scripted bot behind it."""

import asyncio
from pathlib import Path
from typing import Literal

import pytest
from playwright.async_api import BrowserContext, FilePayload, Page, expect

from adapters.web.memory import Remembered
from bot.domain import Answer, Outcome, Said, SessionKey
from bot.ports import Reply
from tests.acceptance.browser import browser, context, page
from tests.acceptance.playground import Place, box, channel, place, speak_as, thread, visit
from tests.fakes.playground import Core, Marks, failing, opened, served

__all__ = ["browser", "context", "page", "place"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

HOSTILE = (
    "<img src=x onerror=\"document.title='owned'\">",
    "<svg onload=\"document.title='owned'\"></svg>",
    "</script><script>document.title='owned'</script>",
    "[a link](javascript:document.title='owned')",
    "[a link](JAVASCRIPT:document.title='owned')",
    "[a link](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
    "![x](data:image/svg+xml,<svg onload=alert(1)>)",
    "![x](https://elsewhere.invalid/pixel.png)",
    "<iframe src='https://elsewhere.invalid'></iframe><style>*{display:none}</style>",
    "<a href=\"javascript:document.title='owned'\">a link</a>",
    "`</code><script>document.title='owned'</script>`",
    "```html\n</pre><img src=x onerror=\"document.title='owned'\">\n```",
    '"><details open ontoggle="document.title=\'owned\'">',
    "@Ann<img src=x onerror=\"document.title='owned'\">",
)


async def test_a_newcomer_is_shown_what_to_do_and_gets_an_answer_in_a_thread(
    page: Page, place: Place
) -> None:
    await visit(page, place)
    await expect(page.get_by_text("it answers in a thread")).to_be_visible()
    await page.get_by_role("button", name="@threadfly My name is Ann").click()
    await expect(box(page)).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(thread(page)).to_have_count(2)
    await expect(thread(page).last).to_contain_text("You said: My name is Ann. Please remember it.")
    await expect(channel(page).get_by_text("1 reply")).to_be_visible()
    await box(page, "Reply").fill("and I like tea")
    await page.keyboard.press("Enter")
    await expect(thread(page).last).to_contain_text("You said: and I like tea")
    await expect(channel(page).get_by_text("3 replies")).to_be_visible()


async def test_an_answer_is_seen_to_grow_and_can_be_stopped(page: Page, place: Place) -> None:
    async def half(core: Core, reply: Reply, said: Said) -> None:
        await reply.show("It begins")
        await core.stopped.wait()
        await reply.finish(Answer("It begins, and stops here.", Outcome.STOPPED))

    place.core.script = half
    await visit(page, place)
    await box(page).fill("@threadfly tell me a long story")
    await page.keyboard.press("Enter")
    await expect(thread(page).last.locator(".growing")).to_contain_text("It begins")
    await thread(page).last.get_by_role("button", name="Stop").click()
    await expect(thread(page).last).to_contain_text("It begins, and stops here.")
    await expect(thread(page).last.locator(".growing")).to_have_count(0)
    await expect(thread(page).last.get_by_role("button", name="Stop")).to_have_count(0)


async def test_a_bot_that_thinks_is_seen_to_work(page: Page, place: Place) -> None:
    thought = asyncio.Event()

    async def slow(core: Core, reply: Reply, said: Said) -> None:
        await thought.wait()
        await reply.finish(Answer("Done thinking."))

    place.core.script = slow
    await visit(page, place)
    await box(page).fill("@threadfly think")
    await page.keyboard.press("Enter")
    await expect(page.locator("#thread .working")).to_be_visible()
    thought.set()
    await expect(thread(page).last).to_contain_text("Done thinking.")
    await expect(page.locator("#thread .working")).to_be_hidden()


async def test_a_failed_answer_can_be_tried_again_and_a_good_one_praised(page: Page, place: Place) -> None:
    place.core.script = failing
    await visit(page, place)
    await box(page).fill("@threadfly hello")
    await page.keyboard.press("Enter")
    await thread(page).last.get_by_role("button", name="Try again").click()
    await place.core.heard(lambda event: getattr(event, "button", None) == "again")
    place.core.script = Core().script
    await box(page, "Reply").fill("once more")
    await page.keyboard.press("Enter")
    praise = thread(page).last.get_by_role("button", name="Good answer")
    await praise.click()
    await expect(praise).to_have_attribute("aria-pressed", "true")
    await page.reload()
    await expect(praise).to_have_attribute("aria-pressed", "true")


async def test_no_script_from_a_message_ever_runs(page: Page, place: Place) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await visit(page, place)
    for text in HOSTILE:
        await place.platform.room.say("joe", "general", None, text)
    await expect(channel(page)).to_have_count(len(HOSTILE))
    await page.reload()
    await expect(channel(page)).to_have_count(len(HOSTILE))
    for link in await channel(page).get_by_text("a link").all():
        await link.click()
    body = page.locator(".posts .body")
    for tag in ("script", "img", "svg:not(.copy svg)", "iframe", "style", "details", "object"):
        await expect(body.locator(tag)).to_have_count(0)
    links = await body.locator("a").evaluate_all("links => links.map(link => link.href + ' ' + link.rel)")
    assert set(links) == {
        "https://elsewhere.invalid/ noopener noreferrer nofollow",
        "https://elsewhere.invalid/pixel.png noopener noreferrer nofollow",
    }
    assert "owned" not in await page.title()
    assert all(url.startswith((place.url, place.url.replace("http", "ws"))) for url in asked)


async def test_what_the_bot_says_is_no_script_either(page: Page, place: Place) -> None:
    await visit(page, place)
    await box(page).fill(f"@threadfly {HOSTILE[0]}")
    await page.keyboard.press("Enter")
    await expect(thread(page).last).to_contain_text("You said: <img src=x")
    await expect(thread(page).last.locator(".body img")).to_have_count(0)
    assert "owned" not in await page.title()


async def test_code_is_shown_as_code_and_can_be_copied(
    page: Page, context: BrowserContext, place: Place
) -> None:
    await context.grant_permissions(["clipboard-read", "clipboard-write"])
    await visit(page, place)
    await box(page).fill("look:\n```python\nif a < b:\n    pass\n```")
    await page.keyboard.press("Enter")
    await expect(channel(page).locator("pre code")).to_have_text("if a < b:\n    pass")
    await channel(page).get_by_role("button", name="Copy the code").click()
    await expect(channel(page).get_by_text("Copied")).to_be_visible()
    assert await page.evaluate("navigator.clipboard.readText()") == "if a < b:\n    pass"


async def test_shift_enter_makes_a_line_and_an_at_sign_offers_names(page: Page, place: Place) -> None:
    await visit(page, place)
    await box(page).press_sequentially("hello")
    await page.keyboard.press("Shift+Enter")
    await box(page).press_sequentially("@th")
    await expect(page.get_by_role("option")).to_have_count(1)
    await page.keyboard.press("Enter")
    await expect(box(page)).to_have_value("hello\n@threadfly ")
    await box(page).press_sequentially("@")
    await expect(page.get_by_role("option").first).to_have_attribute("aria-selected", "true")
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Tab")
    await expect(box(page)).to_have_value("hello\n@threadfly @Joe ")


async def test_a_command_that_is_typed_whole_is_sent_by_enter(page: Page, place: Place) -> None:
    await visit(page, place)
    await box(page).press_sequentially("/hel")
    await expect(page.get_by_role("option")).to_have_count(1)
    await page.keyboard.press("Enter")
    await expect(box(page)).to_have_value("/help ")
    await box(page).fill("")
    await box(page).press_sequentially("/help")
    await expect(page.get_by_role("option")).to_have_count(1)
    await page.keyboard.press("Enter")
    await expect(box(page)).to_have_value("")


async def test_a_command_in_a_thread_is_answered_to_its_asker_alone(
    page: Page, context: BrowserContext, place: Place
) -> None:
    await visit(page, place)
    await box(page).fill("@threadfly hello")
    await page.keyboard.press("Enter")
    await expect(thread(page)).to_have_count(2)
    other = await context.new_page()
    await other.goto(page.url)
    await speak_as(other, "Joe")
    await expect(thread(other)).to_have_count(2)
    await box(page, "Reply").press_sequentially("/mo")
    await page.keyboard.press("Tab")
    await box(page, "Reply").press_sequentially("large")
    await page.keyboard.press("Enter")
    await expect(page.locator("#thread .note")).to_contain_text("You asked for: model large")
    await box(page, "Reply").fill("a mark that comes later")
    await page.keyboard.press("Enter")
    await expect(thread(other).get_by_text("a mark that comes later", exact=True)).to_be_visible()
    await expect(other.locator(".note")).to_have_count(0)
    await page.get_by_role("button", name="Dismiss").click()
    await expect(page.locator("#thread .note")).to_have_count(0)


async def test_own_messages_can_be_edited_and_deleted_by_keyboard(page: Page, place: Place) -> None:
    await visit(page, place)
    await box(page).fill("helo")
    await page.keyboard.press("Enter")
    await expect(channel(page)).to_have_count(1)
    await page.keyboard.press("ArrowUp")
    editor = page.get_by_role("textbox", name="Edit your message")
    await expect(editor).to_be_focused()
    await editor.fill("hello")
    await page.keyboard.press("Enter")
    await expect(channel(page)).to_contain_text("hello")
    await expect(channel(page)).to_contain_text("(edited)")
    await expect(box(page)).to_be_focused()
    await channel(page).focus()
    await page.keyboard.press("Delete")
    await page.keyboard.press("Escape")
    await expect(channel(page)).to_be_focused()
    await page.keyboard.press("Delete")
    await page.keyboard.press("Enter")
    await expect(channel(page)).to_have_count(0)


async def test_people_see_only_their_channels_and_tabs_keep_who_they_are(
    page: Page, context: BrowserContext, place: Place
) -> None:
    await visit(page, place, "Joe")
    names = page.locator(".channel-name")
    await expect(names).to_have_text(["general", "random", "threadfly"])
    other = await context.new_page()
    await visit(other, place, "Mei")
    await expect(other.locator(".channel-name")).to_have_text(
        ["general", "random", "secret-plans", "threadfly"]
    )
    await page.reload()
    await expect(page.get_by_role("radio", name="Joe")).to_be_checked()
    await page.goto(f"{place.url}/#/secret-plans")
    await expect(page.get_by_role("heading", name="general", exact=True)).to_be_visible()


async def test_news_elsewhere_is_counted_beside_the_channel(page: Page, place: Place) -> None:
    await visit(page, place)
    await place.platform.room.say("joe", "random", None, "one")
    await place.platform.room.say("joe", "random", None, "two")
    link = page.get_by_role("link", name="random")
    await expect(link.locator(".pill")).to_contain_text("2")
    await link.click()
    await expect(channel(page)).to_have_count(2)
    await expect(link.locator(".pill")).to_have_count(0)


async def test_a_direct_message_needs_no_mention_and_no_thread(page: Page, place: Place) -> None:
    await visit(page, place)
    await page.get_by_role("link", name="threadfly").click()
    await box(page, "Message threadfly").fill("hello")
    await page.keyboard.press("Enter")
    await expect(channel(page).last).to_contain_text("You said: hello")
    await expect(page.locator("#thread")).to_be_hidden()


async def test_files_are_attached_shown_and_kept(page: Page, place: Place, tmp_path: Path) -> None:
    await visit(page, place)
    notes = FilePayload(name="notes.txt", mimeType="text/plain", buffer=b"some notes")
    logo = FilePayload(name="logo.svg", mimeType="image/svg+xml", buffer=b"<svg onload='alert(1)'/>")
    await page.locator("#main input[type=file]").set_input_files([notes, logo])
    await expect(page.get_by_role("button", name="Remove notes.txt")).to_be_visible()
    await page.get_by_role("button", name="Remove logo.svg").click()
    await box(page).press("Enter")
    link = channel(page).get_by_role("link", name="notes.txt")
    await expect(link).to_be_visible()
    async with page.expect_download() as download:
        await link.click()
    await (await download.value).save_as(tmp_path / "saved")
    assert (tmp_path / "saved").read_bytes() == b"some notes"


async def test_a_message_that_is_too_long_stays_in_the_box_with_a_sentence(page: Page, place: Place) -> None:
    await visit(page, place)
    await box(page).fill("x" * 200_000)
    await box(page).press("Enter")
    await expect(page.locator("#main .sorry")).to_contain_text("160,000 characters too many")
    assert len(await box(page).input_value()) == 200_000
    await box(page).fill("x" * 40_000)
    await box(page).press("Enter")
    await expect(channel(page)).to_have_count(1)


async def test_the_page_comes_back_by_itself_and_misses_nothing(page: Page, tmp_path: Path) -> None:
    marks = Marks()
    first = Core()
    async with served(tmp_path, first, marks) as (_, server):
        port = server.port
        await page.goto(server.url)
        await box(page).fill("@threadfly before")
        await page.keyboard.press("Enter")
        await expect(thread(page).last).to_contain_text("You said: before")
    await expect(page.get_by_text("Reconnecting")).to_be_visible()
    await box(page, "Reply").fill("written while it was away")
    await page.keyboard.press("Enter")
    await expect(page.locator("#thread .sorry")).to_contain_text("Not sent")
    await expect(box(page, "Reply")).to_have_value("written while it was away")
    async with opened(tmp_path, Core(), marks) as platform:
        await platform.room.say("joe", "general", None, "said while no page was listening")
    async with served(tmp_path, Core(), marks, port=port):
        await expect(page.get_by_text("Reconnecting")).to_be_hidden()
        await expect(channel(page).get_by_text("said while no page")).to_be_visible()
        await box(page, "Reply").press("Enter")
        await expect(thread(page).get_by_text("written while it was away")).to_have_count(1)
        await expect(box(page, "Reply")).to_have_value("")


async def test_the_panel_tells_what_is_remembered_and_that_dropping_loses_nothing(
    page: Page, place: Place
) -> None:
    root = (await place.platform.room.say("ann", "general", None, "@threadfly hello")).position
    key = SessionKey("web", "playground", "general", str(root))
    await visit(page, place, hash=f"#/general/{root}")
    await expect(thread(page)).to_have_count(2)
    place.core.memory.kept[key] = Remembered(
        version=7,
        archived=12,
        hot=10,
        hot_version=7,
        ttl_s=1800.0,
        last_read="hit",
        summary_blocks=1,
        summary="Ann said hello.",
    )
    panel = page.get_by_role("region", name="What the bot remembers")
    await page.reload()
    await expect(panel).to_contain_text("Remembers 12 messages, 10 hot")
    await panel.get_by_role("button", expanded=False).click()
    for fact in ("12 messages", "10 messages", "Hit", "7", "1 block", "Ann said hello."):
        await expect(panel.locator(".memory-details")).to_contain_text(fact)
    await panel.get_by_role("button", name="Drop the hot context").click()
    await expect(panel.get_by_role("status")).to_contain_text("The archive still holds 12 messages")
    await expect(panel).to_contain_text("Remembers 12 messages, nothing hot")
    assert place.core.memory.dropped == [key]


async def test_the_thread_is_reached_and_left_by_keyboard(page: Page, place: Place) -> None:
    await place.platform.room.say("joe", "general", None, "first")
    await place.platform.room.say("joe", "general", None, "second")
    await visit(page, place)
    await channel(page).last.focus()
    await page.keyboard.press("ArrowUp")
    await expect(channel(page).first).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(box(page, "Reply")).to_be_focused()
    await expect(thread(page).first).to_contain_text("first")
    await page.keyboard.press("Escape")
    await expect(page.locator("#thread")).to_be_hidden()
    await expect(channel(page).first).to_be_focused()


async def test_every_control_has_a_name(page: Page, place: Place) -> None:
    await visit(page, place)
    await box(page).fill("@threadfly hello")
    await page.keyboard.press("Enter")
    await expect(thread(page).last).to_contain_text("You said: hello")
    nameless = await page.locator("button, a, input, textarea").evaluate_all(
        """all => all.filter(one => !(one.getAttribute('aria-label') || one.textContent.trim()
              || one.labels?.[0]?.textContent.trim())).map(one => one.outerHTML)"""
    )
    assert nameless == []


async def test_a_phone_shows_one_pane_at_a_time(context: BrowserContext, place: Place) -> None:
    root = (await place.platform.room.say("joe", "general", None, "@threadfly hello")).position
    phone = await context.new_page()
    await phone.set_viewport_size({"width": 390, "height": 780})
    await phone.goto(place.url)
    main, beside, side = phone.locator("#main"), phone.locator("#thread"), phone.locator(".side")
    await expect(main).to_be_visible()
    await expect(side).to_be_hidden()
    await phone.locator(f"#main-{root} .replies").click()
    await expect(beside).to_be_visible()
    await expect(main).to_be_hidden()
    assert await phone.evaluate("document.documentElement.scrollWidth <= innerWidth")
    await phone.get_by_role("button", name="Back to the channel").click()
    await expect(main).to_be_visible()
    await phone.get_by_role("button", name="Channels").click()
    await expect(side).to_be_visible()
    await phone.get_by_role("link", name="random").click()
    await expect(phone.get_by_role("heading", name="random", exact=True)).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_text_stands_out_from_its_ground(
    page: Page, place: Place, scheme: Literal["light", "dark"]
) -> None:
    """WCAG AA: 4.5 to 1 for everything that is written in the page."""
    await place.platform.room.say("ann", "general", None, "@threadfly see `code` and https://a.example")
    await page.emulate_media(color_scheme=scheme)
    await page.goto(place.url)
    await expect(channel(page).get_by_text("1 reply")).to_be_visible()
    await channel(page).get_by_text("1 reply").click()
    await expect(thread(page)).to_have_count(2)
    faint = await page.evaluate(CONTRAST)
    assert faint == []


CONTRAST = """() => {
  const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * (top[3] ?? 1) + below[i] * (1 - (top[3] ?? 1)));
  const ground = (element) => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) layers.push(channels(getComputedStyle(e).backgroundColor));
    return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255]);
  };
  const found = [];
  for (const element of document.querySelectorAll('body *')) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !element.checkVisibility() || element.closest('[hidden], .unseen, .skip')) continue;
    const ink = channels(getComputedStyle(element).color);
    const [a, b] = [light(ink), light(ground(element))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) found.push(`${element.className || element.tagName}: ${ratio.toFixed(2)}`);
  }
  return found;
}"""
