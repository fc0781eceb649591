"""Headless Chromium for tests of pages: one process, a fresh tab for each test, no network but what a test allows."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--no-first-run",
)  # fmt: skip


@dataclass
class Tab:
    """A page and what it tried: `requests` that would have left it, and `errors` of its scripts and its policy."""

    page: Any
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def ask(self, script: str, argument: object = None) -> Any:
        return self.page.evaluate(script, argument)

    def text(self, selector: str) -> str:
        return str(self.page.inner_text(selector))


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser; skips where there is none, unless TCRP_REQUIRE_TOOLS is set."""
    if CHROMIUM is None:
        assert not os.environ.get("TCRP_REQUIRE_TOOLS"), "chromium is not installed, and TCRP_REQUIRE_TOOLS is set"
        pytest.skip("chromium is not installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(browser: Any, address: str | Path, *, allowed: str = "", **context: Any) -> Iterator[Tab]:
    """The page at `address`. Requests go out to addresses that begin with `allowed` only; the others are noted."""
    start = address.as_uri() if isinstance(address, Path) else address
    tab = Tab(browser.new_page(**{"viewport": {"width": 1200, "height": 800}, **context}))

    def decide(route: Any) -> None:
        url = route.request.url
        if url.partition("#")[0] == start.partition("#")[0] or (allowed and url.startswith(allowed)):
            route.continue_()
        else:
            tab.requests.append(url)
            route.abort()

    tab.page.route("**/*", decide)
    tab.page.on("pageerror", lambda error: tab.errors.append(str(error)))
    tab.page.on("console", lambda message: tab.errors.append(message.text) if message.type == "error" else None)
    tab.page.goto(start)
    try:
        yield tab
    finally:
        tab.page.close()
