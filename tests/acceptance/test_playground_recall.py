"""Looking things up in the playground's page, in a real browser, with a whole bot behind it."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from adapters.llm.offline import OfflineModel
from bot.recall import PAGE
from tests.acceptance.browser import browser, context, page
from tests.fakes.remembering import Playground, remembering

__all__ = ["browser", "context", "page"]
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def playground(tmp_path: Path) -> AsyncIterator[Playground]:
    async with remembering(tmp_path) as playground:
        yield playground


async def ask(page: Page, words: str) -> None:
    box = page.get_by_role("combobox", name="Message #general")
    await box.fill(f"/recall {words}")
    await page.keyboard.press("Enter")


async def test_one_looks_something_up_reads_on_and_goes_there(page: Page, playground: Playground) -> None:
    root = await playground.say("mei", "general", "@threadfly <b>the</b> login page is slow")
    await playground.platform.room.say("joe", "general", root, "@threadfly really?")
    await page.goto(playground.url)
    await ask(page, "login pages")
    found = page.get_by_role("region", name="What was found")
    await expect(found.get_by_role("heading")).to_have_text("1 conversation for “login pages”")
    await expect(found.locator("mark")).to_have_text(["login", "page"])
    await expect(found.locator(".line.is-hit")).to_contain_text("<b>the</b> login page is slow")
    await found.get_by_role("button", name="Read here").click()
    await expect(found.locator(".line", has_text="really?")).to_be_visible()
    await found.get_by_role("button", name="All hits").click()
    await found.get_by_role("link", name="Go to the message").click()
    await expect(page).to_have_url(re.compile(rf"#/general/{root}/{root}$"))
    await expect(page.locator("#thread .revealed")).to_contain_text("login page is slow")


async def test_an_answer_leads_to_what_it_cites(page: Page, tmp_path: Path) -> None:
    async with remembering(tmp_path, OfflineModel(pace_s=0)) as playground:
        root = await playground.say("mei", "random", "@threadfly the login page gets a blue button")
        asked = await playground.say("joe", "general", "@threadfly what did we decide about the login page?")
        await page.goto(f"{playground.url}/#/general/{asked}")
        await page.locator("#thread").get_by_role("link", name="#random").click()
        await expect(page).to_have_url(re.compile(rf"#/random/{root}/{root}$"))
        await expect(page.locator("#thread .revealed")).to_contain_text("the login page gets a blue button")


async def test_one_leafs_back_and_forth(page: Page, playground: Playground) -> None:
    for n in range(PAGE + 1):
        await playground.say("mei", "general", f"@threadfly tea number {n}")
    await page.goto(playground.url)
    await ask(page, "tea")
    found = page.get_by_role("region", name="What was found")
    await expect(found.locator(".hit")).to_have_count(PAGE)
    await expect(found.get_by_role("button", name="Previous")).to_have_count(0)
    await found.get_by_role("button", name="Next").click()
    await expect(found.locator(".hit")).to_have_count(1)
    await expect(found.get_by_role("button", name="Next")).to_have_count(0)
    await found.get_by_role("button", name="Previous").click()
    await expect(found.locator(".hit")).to_have_count(PAGE)


async def test_one_shows_a_hit_to_everybody_once_it_was_said_who_will_see_it(
    page: Page, playground: Playground
) -> None:
    await playground.say("mei", "random", "@threadfly the login page is slow")
    await page.goto(playground.url)
    await ask(page, "login")
    found = page.get_by_role("region", name="What was found")
    await found.get_by_role("button", name="Show in channel").click()
    await expect(found).to_contain_text("Everybody who reads along")
    shown = page.locator(".message", has_text="had this shown with recall")
    await expect(shown).to_have_count(0)
    await found.get_by_role("button", name="Show it to everybody").click()
    await expect(found).to_contain_text("Everybody here can see it now.")
    await expect(shown).to_contain_text("the login page is slow")
    await shown.get_by_role("link", name="open").click()
    await expect(page.locator("#thread .revealed")).to_contain_text("login page is slow")


async def test_one_goes_on_with_a_conversation_elsewhere(page: Page, playground: Playground) -> None:
    await playground.say("mei", "random", "@threadfly the cat is called Fred")
    await page.goto(playground.url)
    await ask(page, "cat")
    found = page.get_by_role("region", name="What was found")
    await found.get_by_role("button", name="Continue here").click()
    await found.get_by_role("link", name="over there").click()
    await expect(page.locator("#thread")).to_contain_text("goes on here with an earlier conversation")
    await page.get_by_role("combobox", name="Reply").fill("what is it called?")
    await page.keyboard.press("Enter")
    await expect(page.locator("#thread")).to_contain_text("answer")
    assert "Mei: the cat is called Fred" in str(playground.model.prompts[-1])
