"""A real browser for tests (Debian's package `chromium`)."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect, sync_playwright

CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-background-networking --disable-component-update --disable-sync "
    "--no-first-run"
)
TRAINING = "localStorage.setItem('mlflow.workflowType_v1', JSON.stringify('machine_learning'))"
"""A setting that shows MLflow's pages for training rather than for agents."""
PATIENCE = 300_000.0
"""Milliseconds to wait for a page, enough for a busy machine."""
BROKEN = "Something went wrong"
"""The heading of MLflow's page where one of its forty scripts failed to load."""
LOADS = 5
"""The number of times that a page of MLflow is loaded until its scripts are complete."""
expect.set_options(timeout=PATIENCE)


@contextmanager
def chromium(*flags: str, **options: Any) -> Iterator[BrowserContext]:
    """Yields a browser without cookies, with extra command-line flags and options of Playwright's context."""
    if CHROMIUM is None:
        pytest.skip("no browser; apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS.split(), *flags])
        context = browser.new_context(**{"viewport": {"width": 1600, "height": 1000}, **options})
        context.set_default_timeout(PATIENCE)
        context.add_init_script(TRAINING)
        yield context
        browser.close()


def show_mlflow(page: Page, address: str, heading: str) -> None:
    """Opens a page of MLflow and loads it again, as a person would, where one of its scripts failed to load.

    Raises `AssertionError` with the requests that failed if the page stays broken.
    """
    failed: list[str] = []
    page.on("requestfailed", lambda request: failed.append(f"{request.url}: {request.failure}"))
    page.on(
        "response", lambda response: failed.append(f"{response.url}: {response.status}") if not response.ok else None
    )
    page.goto(address)
    shown = page.get_by_role("heading", name=heading)
    for _ in range(LOADS):
        expect(shown.or_(page.get_by_role("heading", name=BROKEN)).first).to_be_visible()
        if shown.is_visible():
            return
        page.reload()
    raise AssertionError(f"MLflow's page is broken; these requests failed: {failed}")
