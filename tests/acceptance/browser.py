"""A real Chromium for the tests that need one.

A module that uses it imports the fixtures `browser`, `context` and `page`, and runs its tests in one
loop: `pytestmark = pytest.mark.asyncio(loop_scope="module")`. Each test gets a context of its own.
"""

import os
import shutil
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
)
PATIENCE_MS = 10_000


def chromium() -> str | None:
    """Where the browser is; None where there is none."""
    named = os.environ.get("THREADFLY_CHROMIUM")
    return named or next((path for path in map(shutil.which, NAMES) if path), None)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """A browser for one module; without one the test is skipped, or fails where CI=true."""
    path = chromium()
    if path is None:
        reason = f"no browser found: install one of {', '.join(NAMES)}, or set THREADFLY_CHROMIUM"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="module")
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    context = await browser.new_context(viewport={"width": 1280, "height": 800}, locale="en-GB")
    context.set_default_timeout(PATIENCE_MS)
    yield context
    await context.close()


@pytest_asyncio.fixture(loop_scope="module")
async def page(context: BrowserContext) -> AsyncIterator[Page]:
    """A page on which every script error and every refused action of the policy fails the test."""
    page = await context.new_page()
    troubles: list[str] = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("console", lambda said: troubles.append(said.text) if is_trouble(said.type, said.text) else None)
    yield page
    assert troubles == []


def is_trouble(kind: str, text: str) -> bool:
    """Whether the console tells of a fault of ours, and not of a server that we took away."""
    return kind == "error" and "ERR_CONNECTION_REFUSED" not in text and "status of 4" not in text
