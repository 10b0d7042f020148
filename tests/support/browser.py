"""A real Chromium for the tests of the console, and what they ask of every page.

The machine's own browser is driven (Debian's package `chromium`); where there is none the tests say so and are skipped.
"""

import os
import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Literal, cast

from playwright.async_api import Browser, BrowserContext, Page, async_playwright

CHROMIUM: Final = shutil.which("chromium") or shutil.which("google-chrome")
AXE: Final = Path(__file__).parents[1] / "js" / "node_modules" / "axe-core" / "axe.min.js"
FLAGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE_MS: Final = 120_000
WIDE: Final = (1180, 780)
PHONE: Final = (390, 844)
SCREENSHOTS: Final = os.environ.get("CONSOLE_SCREENSHOTS")
"""The folder that screenshots are written to; without it none are. `make screenshots` sets it."""

Scheme = Literal["light", "dark"]


@asynccontextmanager
async def chromium() -> AsyncGenerator[Browser]:
    """A browser without a window."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        await browser.close()


@asynccontextmanager
async def visitor(browser: Browser, base_url: str, size: tuple[int, int] = WIDE) -> AsyncGenerator[Page]:
    """A page of a new profile, which nobody has signed in to. A mistake of the page fails the test."""
    context: BrowserContext = await browser.new_context(
        base_url=base_url, viewport={"width": size[0], "height": size[1]}, reduced_motion="reduce", timezone_id="UTC"
    )
    context.set_default_timeout(PATIENCE_MS)
    page = await context.new_page()
    mistakes: list[str] = []
    page.on("pageerror", lambda error: mistakes.append(str(error)))
    page.on("console", lambda said: mistakes.append(said.text) if "Content Security Policy" in said.text else None)
    yield page
    await context.close()
    assert mistakes == []


async def sign_in(page: Page, key: str) -> None:
    """Sign in by the form, and be at the first page."""
    await page.goto("/console")
    await page.get_by_label("API key").fill(key)
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_role("button", name="Sign out").wait_for()


async def visit(page: Page, path: str) -> None:
    """Go to one of the page's places, and wait until it is shown."""
    # The page's own listener is called first: when this one is, the view is loading or already there.
    await page.evaluate(
        """path => new Promise((resolve) => {
            if (location.hash === `#${path}`) return resolve();
            addEventListener("hashchange", () => resolve(), { once: true });
            location.hash = path;
        })""",
        path,
    )
    await settled(page)


async def settled(page: Page) -> None:
    """Wait until the view is there: what is loading says so with `aria-busy`."""
    await page.locator("main:not([aria-busy]) > :nth-child(2)").first.wait_for(state="attached")


async def findings(page: Page, scheme: Scheme) -> list[str]:
    """What axe finds in the page that hinders somebody seriously, in one colour scheme."""
    await page.emulate_media(color_scheme=scheme)
    await page.evaluate(AXE.read_text())
    found = cast("dict[str, Any]", await page.evaluate("axe.run({ resultTypes: ['violations'] })"))
    return [
        f"{one['id']} ({one['impact']}): {node['html'][:160]}"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


async def overflow(page: Page) -> int:
    """By how many pixels the page is wider than its window."""
    return await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


async def portrait(page: Page, name: str) -> None:
    """Write a screenshot, when screenshots are wanted."""
    if SCREENSHOTS is not None:
        await page.screenshot(path=Path(SCREENSHOTS) / f"console-{name}.png", full_page=True)
