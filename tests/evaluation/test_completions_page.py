"""Laws of the page of completions: it has every reply, runs no script but its own, and what does not fit is said."""

import base64
import gzip
import hashlib
import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from run_fakes import fake_run

from r1_pipeline.artifacts.kinds import EvalReport, ProblemSet
from r1_pipeline.errors import ArtifactError
from r1_pipeline.evaluation.completions_page import COLUMNS, Shown, render_completions, shown_completions

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"


def shown_of(home: Path, **limits: int) -> Shown:
    artifacts = fake_run(home).artifacts
    reports = {
        name.removeprefix("evaluation/"): each for name, each in artifacts.items() if isinstance(each, EvalReport)
    }
    problem_sets = [each for each in artifacts.values() if isinstance(each, ProblemSet)]
    return shown_completions({"evaluation": reports}, problem_sets, **limits)


def data_of(page: str) -> dict[str, Any]:
    (packed,) = re.findall(r'<script type="application/gzip" id="data">([^<]*)</script>', page)
    found: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(packed)))
    return found


def test_every_completion_is_on_the_page_with_its_problem_and_verdict(tmp_path: Path) -> None:
    artifacts = fake_run(tmp_path / "run").artifacts
    shown = shown_of(tmp_path / "run")
    assert shown.models == ("base", "r1_zero", "dev3", "r1")
    data = data_of(render_completions(shown, "smoke", 3))
    rows = list(zip(*(data["columns"][name] for name in COLUMNS), strict=True))
    assert len(rows) == shown.total
    report = artifacts["evaluation/r1_zero"]
    assert isinstance(report, EvalReport)
    stored = report.completions().select("problem_id", "sample_index", "outcome", "text").rows()
    seen = [
        (data["problems"][problem]["id"], sample, outcome, text)
        for problem, model, sample, outcome, _, _, _, text, _ in rows
        if data["models"][model] == "r1_zero"
    ]
    assert sorted(seen) == sorted(stored)


def test_a_reply_is_data_and_the_one_script_is_named_by_its_hash() -> None:
    problem = {
        "benchmark": HOSTILE,
        "id": "a",
        "domain": "math",
        "language": "en",
        "question": HOSTILE,
        "reference": "",
    }
    row: dict[str, list[Any]] = dict(
        zip(COLUMNS, ([0], [0], [0], ["wrong"], [0.0], [3], ["stop"], [HOSTILE], [HOSTILE]), strict=True)
    )
    page = render_completions(Shown((HOSTILE,), (problem,), row, 1), HOSTILE, 0)
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    (script,) = scripts
    (allowed,) = re.findall(r"script-src 'sha256-([^']*)'", unescape(page))
    assert base64.b64decode(allowed) == hashlib.sha256(script.encode()).digest()
    assert "default-src 'none'" in page
    assert "<img" not in page
    assert "innerHTML" not in script
    assert data_of(page)["columns"]["text"] == [HOSTILE]
    assert not re.search(r"https?:|@import|url\(", page)


def test_what_does_not_fit_is_left_out_for_all_models_alike_and_said(tmp_path: Path) -> None:
    whole = shown_of(tmp_path / "run")
    assert "completions are shown</b>" not in render_completions(whole, "smoke", 3)
    half = sum(len((t + d).encode()) for t, d in zip(whole.rows["text"], whole.rows["detail"], strict=True)) // 2
    part = shown_of(tmp_path / "run", max_bytes=half)
    kept = set(zip(part.rows["problem"], part.rows["sample"], strict=True))
    assert 0 < len(part.rows["text"]) < part.total == whole.total
    for model in range(len(part.models)):
        rows = zip(part.rows["problem"], part.rows["sample"], part.rows["model"], strict=True)
        assert {(problem, sample) for problem, sample, each in rows if each == model} == kept
    assert f"<b>{len(part.rows['text'])} of {part.total} completions are shown</b>" in render_completions(
        part, "smoke", 3
    )


def test_problems_that_nobody_has_are_an_error(tmp_path: Path) -> None:
    report = fake_run(tmp_path).artifacts["evaluation/base"]
    assert isinstance(report, EvalReport)
    with pytest.raises(ArtifactError, match="evaluation/base was asked problems that are not among the artifacts"):
        shown_completions({"evaluation": {"base": report}}, [])


def test_a_run_without_evaluations_has_an_empty_page() -> None:
    shown = shown_completions({"evaluation": {}}, [])
    assert (shown.total, data_of(render_completions(shown, "smoke", 0))["columns"]["text"]) == (0, [])
