"""The law of the user interfaces: a user materializes an asset in a browser, reads its metadata, and finds it in
MLflow.

The test uses the real `r1 ui` and a real browser (Debian's package `chromium`). `R1_SCREENSHOTS=docs/images` keeps the
pictures.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from browsers import chromium
from playwright.sync_api import BrowserContext, Page, expect
from processes import Surfaces, user_interface

pytestmark = pytest.mark.slow


@pytest.fixture
def browser() -> Iterator[BrowserContext]:
    with chromium() as context:
        yield context


def keep(page: Page, name: str) -> None:
    """Saves a screenshot if `R1_SCREENSHOTS` names a directory."""
    if folder := os.environ.get("R1_SCREENSHOTS"):
        page.wait_for_timeout(3000)  # movements on the page end
        page.screenshot(path=Path(folder) / f"{name}.png")


def select(page: Page, assets: str) -> None:
    page.locator(".CodeMirror").first.click()
    page.keyboard.type(assets)
    page.keyboard.press("Enter")


def test_a_person_materializes_a_model_reads_its_curves_and_finds_it_in_mlflow(
    browser: BrowserContext, tmp_path: Path
) -> None:
    with user_interface(tmp_path / "home") as surfaces:
        page = browser.new_page()
        materialize(page, surfaces)
        run = read(page, surfaces, browser)
        find(run, surfaces)


def materialize(page: Page, surfaces: Surfaces) -> None:
    page.goto(surfaces.welcome)
    assert "token" not in page.url
    page.get_by_text("Lineage", exact=True).click()
    select(page, '+key:"evaluation/r1_zero"')
    page.get_by_role("button", name="Materialize all (6)").click()
    page.get_by_text("View", exact=True).dispatch_event("click")  # the note that has it goes by itself
    expect(page.get_by_text("Success", exact=True).first).to_be_visible()


def read(page: Page, surfaces: Surfaces, browser: BrowserContext) -> Page:
    page.goto(f"{surfaces.dagster}/assets/r1_zero")
    expect(page.get_by_text("reinforce").first).to_be_visible()
    keep(page, "dagster-asset")
    curve = page.get_by_role("img", name="reward", exact=True).first  # at once, without a click
    expect(curve).to_be_visible()
    assert curve.evaluate("image => image.naturalWidth") > 100

    with browser.expect_page() as opened:
        page.locator("a[href^='/mlflow/runs/']").first.click()
    return opened.value


def find(run: Page, surfaces: Surfaces) -> None:
    run.wait_for_url(re.compile(rf"^{re.escape(surfaces.mlflow)}/#/"))
    expect(run.get_by_role("heading", name="r1_zero")).to_be_visible()
    expect(run.get_by_text("Finished")).to_be_visible()
    run.get_by_text("+1", exact=True).click()
    for data in ("base", "reasoning_problems"):
        expect(run.get_by_text(re.compile(rf"{data} \([0-9a-f]{{36}}\)")).first).to_be_visible()
    run.keyboard.press("Escape")
    keep(run, "mlflow-run")
    run.get_by_text("r1_zero v1").click()
    expect(run.get_by_text(re.compile("candidate")).first).to_be_visible()


SMALLEST = """() => Math.min(...[...document.querySelectorAll("*")].flatMap(element => {
  const own = [...element.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
  const box = element.getBoundingClientRect();
  const seen = box.width && box.height && box.right > 0 && box.left < innerWidth && box.bottom > 0
    && box.top < innerHeight && element.checkVisibility({opacityProperty: true, visibilityProperty: true});
  const scale = element.offsetWidth ? box.width / element.offsetWidth : 1;
  return own && seen ? [parseFloat(getComputedStyle(element).fontSize) * scale] : [];
}))"""
"""The smallest text of what is seen, in pixels."""


def test_the_printed_link_shows_a_readable_graph_and_five_clicks_lead_from_a_student_to_its_source(
    browser: BrowserContext, home: Path
) -> None:
    with user_interface(home) as surfaces:
        page = browser.new_page()
        page.set_viewport_size({"width": 1440, "height": 900})
        page.goto(surfaces.links["graph"])
        expect(page.get_by_text("Asset checks", exact=True).first).to_be_visible()  # the node of R1-Zero, not its group
        expect(page.get_by_role("img", name="reward", exact=True).first).to_be_visible()  # its curve, at the side
        page.wait_for_timeout(3000)  # movements on the page end
        assert round(page.evaluate(SMALLEST)) >= 9
        keep(page, "dagster-link")

        page.goto(f"{surfaces.dagster}/assets/distilled?view=overview")
        for above in ("sft_corpus", "reasoning_traces", "reasoning_answers", "reasoning_problems", "math_source"):
            page.locator(f"a[href^='/assets/{above}']").first.click()
            page.wait_for_url(re.compile(f"/assets/{above}"))

        page.goto(surfaces.links["training runs"])
        expect(page.get_by_text("r1_zero").first).to_be_visible()
        page.wait_for_url(re.compile("searchFilter=metrics.learning_rate"))  # only what was trained
        keep(page, "mlflow-runs")
        page.goto(surfaces.links["report"])
        expect(page.get_by_role("heading", name="What was learned, and what was not")).to_be_visible()


def test_the_whole_graph_is_seen_with_what_was_made(browser: BrowserContext, home: Path) -> None:
    with user_interface(home) as surfaces:
        page = browser.new_page()
        page.goto(surfaces.welcome)
        page.get_by_text("Lineage", exact=True).click()
        page.get_by_text("Hide navigation").click()
        select(page, '(+key:"r1" or +key:"distilled") and not group:"sources"')
        page.get_by_text("Global asset lineage").click()
        page.keyboard.press("Alt+E")
        for asset in ("base", "r1_zero", "dev1", "dev2", "sft_corpus", "dev3", "r1", "distilled"):
            expect(page.get_by_text(asset, exact=True).last).to_be_visible()
        keep(page, "dagster-graph")
