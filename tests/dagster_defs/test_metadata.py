"""Laws of what Dagster shows of an artifact: a picture at once, columns with the records' own words."""

import base64
import math
import re
from xml.etree import ElementTree

import pytest

from dagster_defs.metadata import first_curve, plot
from r1_pipeline.evaluation.small_plots import MOST_BARS, score_bars, sparkline
from r1_pipeline.graph.column_docs import field_docstrings
from r1_pipeline.records import Completion, PreferencePair, Problem, Sample

SHOWN_AT_ONCE = 1000
"""Characters of Markdown below which Dagster shows it without a click."""
STEPS = [{"step": step, "reward": 0.2 + 0.7 * (1 - math.exp(-step / 60)), "loss": 1.0 / step} for step in range(1, 401)]


def drawn(markdown: str) -> ElementTree.Element:
    (data,) = re.findall(r"!\[[^]]*\]\(data:image/svg\+xml;base64,([^)]*)\)", markdown)
    return ElementTree.fromstring(base64.b64decode(data))


def test_the_curve_of_a_model_is_a_picture_that_is_shown_at_once() -> None:
    picture = first_curve(STEPS)
    assert len(picture) < SHOWN_AT_ONCE < len(plot(STEPS))
    texts = ["".join(each.itertext()) for each in drawn(picture).iter() if each.tag.endswith("text")]
    assert texts[-1] == "reward, steps 1 to 400"
    assert first_curve([]) == first_curve(STEPS[:1]) == ""


def test_a_curve_ends_at_its_last_value_and_stays_in_its_frame() -> None:
    svg = ElementTree.fromstring(sparkline("x", [1, 2, 3], [0.0, 1.0, 2.0]))
    (line,) = (each for each in svg if each.tag.endswith("polyline"))
    points = [tuple(map(int, point.split(","))) for point in line.attrib["points"].split()]
    assert points == [(54, 100), (180, 60), (306, 20)]


def test_scores_are_bars_in_percent_and_shown_at_once() -> None:
    domains = {f"domain_{n}": n / 10 for n in range(10)}
    svg = score_bars(domains)
    assert len(base64.b64encode(svg.encode())) < SHOWN_AT_ONCE - 60
    found = ElementTree.fromstring(svg)
    texts = ["".join(each.itertext()) for each in found.iter() if each.tag.endswith("text")]
    assert texts == [f"domain_{n} {10 * n}%" for n in range(MOST_BARS)]
    bars = [each.attrib["d"].partition("h")[2] for each in found.iter() if each.tag.endswith("path")]
    assert bars == [f"{20 * n}" for n in range(MOST_BARS)]


@pytest.mark.parametrize(
    ("record", "field", "words"),
    [
        (Problem, "answer", "Reference answer"),
        (Sample, "response", "Text to train on"),
        (Completion, "text", "Decoded completion"),
        (PreferencePair, "chosen", "The reply that people prefer."),
    ],
)
def test_columns_are_described_by_the_docstrings_of_records(record: type[Problem], field: str, words: str) -> None:
    assert field_docstrings(record)[field].startswith(words)
