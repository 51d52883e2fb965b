"""A real browser for tests (Debian's package `chromium`)."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, expect, sync_playwright

CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-background-networking --disable-component-update --disable-sync "
    "--no-first-run"
)
TRAINING = "localStorage.setItem('mlflow.workflowType_v1', JSON.stringify('machine_learning'))"
"""A setting that shows MLflow's pages for training rather than for agents."""
PATIENCE = 900_000.0
"""Milliseconds to wait for a page, enough for a busy machine."""
expect.set_options(timeout=PATIENCE)


@contextmanager
def chromium(*flags: str, **options: Any) -> Iterator[BrowserContext]:
    """Yields a browser without cookies, with extra command-line flags and options of Playwright's context."""
    if CHROMIUM is None:
        pytest.skip("no browser; apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS.split(), *flags])
        context = browser.new_context(viewport={"width": 1600, "height": 1000}, **options)
        context.set_default_timeout(PATIENCE)
        context.add_init_script(TRAINING)
        yield context
        browser.close()
