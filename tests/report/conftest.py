"""A browser for all pages."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A headless Chromium: playwright's own, or one that is installed."""
    api = pytest.importorskip("playwright.sync_api")
    programs = [None, *map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))]
    with api.sync_playwright() as playwright:
        for program in programs:
            try:
                opened = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
            except api.Error:
                continue
            yield opened
            opened.close()
            return
        pytest.skip("no Chromium can be started")
