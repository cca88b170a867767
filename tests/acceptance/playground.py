"""A playground that is served with a scripted bot behind it, and what a visitor finds on its page."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest_asyncio
from playwright.async_api import Locator, Page, expect

from adapters.http import HttpServer
from adapters.web.platform import WebPlatform
from tests.fakes.playground import Core, served


@dataclass(frozen=True, slots=True)
class Place:
    """A playground that is being served."""

    core: Core
    platform: WebPlatform
    server: HttpServer

    @property
    def url(self) -> str:
        return self.server.url


@pytest_asyncio.fixture(loop_scope="module")
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    core = Core()
    async with served(tmp_path, core) as (platform, server):
        yield Place(core, platform, server)


def box(page: Page, name: str = "Message #general") -> Locator:
    return page.get_by_role("combobox", name=name)


def channel(page: Page) -> Locator:
    return page.locator("#main .message")


def thread(page: Page) -> Locator:
    return page.locator("#thread .message")


async def visit(page: Page, place: Place, as_: str = "Ann", hash: str = "") -> None:
    await page.goto(f"{place.url}/{hash}")
    await expect(box(page)).to_be_visible()
    await speak_as(page, as_)


async def speak_as(page: Page, name: str) -> None:
    choice = page.get_by_role("radio", name=name)
    if not await choice.is_checked():
        await page.locator(".cast label", has_text=name).click()
        await expect(choice).to_be_checked()
