"""Laws of the report and of the page of completions in a browser: phone, filters, accessibility.

Accessibility is judged by axe-core, which npm fetches for the test; without npm or its registry that part is skipped.
"""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browsers import chromium
from playwright.sync_api import BrowserContext, Page, expect

pytestmark = pytest.mark.slow
AXE = "axe-core@4"
PAGES = ("report.html", "completions.html")
CUT = """() => [...document.querySelectorAll("svg text")].filter(text => {
  const box = text.getBoundingClientRect(), frame = text.ownerSVGElement.getBoundingClientRect();
  return box.width && (box.right > frame.right + .5 || box.left < frame.left - .5 || box.bottom > frame.bottom + .5);
}).map(text => text.textContent)"""
"""The labels of plots that are not whole."""


@pytest.fixture
def phone() -> Iterator[BrowserContext]:
    with chromium(viewport={"width": 390, "height": 844}) as context:
        yield context


@pytest.fixture
def axe(tmp_path: Path) -> str:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("no npm; apt-get install npm")
    command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(tmp_path / "npm"), AXE]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"npm could not fetch {AXE}: {done.stderr.strip()[-300:]}")
    return (tmp_path / "npm/node_modules/axe-core/axe.min.js").read_text(encoding="utf-8")


def opened(context: BrowserContext, home: Path, name: str) -> Page:
    page = context.new_page()
    page.goto((home / "report" / name).as_uri())
    if name == "completions.html":
        expect(page.locator("#count")).to_contain_text("shown")
    return page


def test_both_pages_fit_a_phone_and_every_label_is_whole(phone: BrowserContext, home: Path) -> None:
    for name in PAGES:
        page = opened(phone, home, name)
        assert page.evaluate("document.documentElement.scrollWidth") == 390, name
        assert page.evaluate(CUT) == [], name


def test_nothing_serious_is_wrong_with_their_accessibility(phone: BrowserContext, home: Path, axe: str) -> None:
    for name in PAGES:
        page = opened(phone, home, name)
        page.evaluate(axe)
        found: list[dict[str, Any]] = page.evaluate("axe.run().then(found => found.violations)")
        assert [each["id"] for each in found if each["impact"] in ("serious", "critical")] == [], name


def test_completions_are_filtered_by_model_outcome_and_difference_and_the_address_keeps_it(
    phone: BrowserContext, home: Path
) -> None:
    page = opened(phone, home, "completions.html")
    models = page.locator("#model option").all_text_contents()
    assert {"base", "r1_zero", "r1"} <= set(models)
    count, cards = page.locator("#count"), page.locator("article")
    whole = count.text_content()
    page.locator("#domain").select_option("math")
    assert count.text_content() != whole
    expect(cards.first).to_contain_text("Mathematics")
    page.locator("#text").fill("no reply has these words")
    expect(count).to_have_text(f"0 of {(whole or '').split()[2]} problems, 0 shown")
    page.locator("#text").fill("")
    page.locator("#other").select_option(label="r1")
    page.locator("#difference").select_option("same")
    same = count.text_content()
    address = page.url
    assert "other=r1" in address and "difference=same" in address
    again = opened(phone, home, "completions.html")
    again.goto(address)
    again.reload()
    expect(again.locator("#count")).to_have_text(same or "")
    assert again.locator("#other option:checked").text_content() == "r1"
