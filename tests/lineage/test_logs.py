"""The law of handed-on scores: logs and cards have the numbers and verdicts of the evaluation; no file is replaced."""

import json
from pathlib import Path

import polars as pl
import pytest

from r1_pipeline.artifacts.kinds import EvalReport
from r1_pipeline.errors import ArtifactError
from r1_pipeline.evaluation.scores import scores_of
from r1_pipeline.lineage.library import Library
from r1_pipeline.lineage.logs import model_index, write_log
from tests.lineage.evaluation_world import evaluated


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> EvalReport:
    return evaluated(tmp_path_factory.mktemp("home"))


def test_a_log_of_inspect_has_every_completion_with_its_verdict(report: EvalReport, tmp_path: Path) -> None:
    (name,) = write_log(Library.of(report.path.parents[3]), report, "inspect", tmp_path / "log")
    log = json.loads((tmp_path / "log" / name).read_text())
    assert (log["version"], log["status"], log["eval"]["task"]) == (2, "success", "evaluation")
    (score,) = log["results"]["scores"]
    assert score["metrics"]["pass_at_1"]["value"] == scores_of(report).overall.pass_at_1 == 0.5
    rows = report.completions()
    assert len(log["samples"]) == rows.height
    values = [each["scores"]["verdict"]["value"] for each in log["samples"]]
    assert values.count("C") == rows.filter(pl.col("score") == 1.0).height
    first = log["samples"][0]
    assert (first["epoch"], first["target"]) == (1, "A")
    assert first["output"]["choices"][0]["message"]["content"] == first["messages"][-1]["content"]


def test_a_log_of_lighteval_has_a_row_for_each_problem(report: EvalReport, tmp_path: Path) -> None:
    numbers, details = write_log(Library.of(report.path.parents[3]), report, "lighteval", tmp_path / "log")
    assert json.loads((tmp_path / "log" / numbers).read_text())["results"]["evaluation|0"]["pass_at_1"] == 0.5
    rows = pl.read_parquet(tmp_path / "log" / details)
    assert rows.columns == ["doc", "metric", "model_response"]
    assert rows.height == report.completions()["problem_id"].n_unique()
    assert sorted(each["pass_at_1"] for each in rows["metric"]) == [0.0, 0.0, 1.0, 1.0]


def test_a_folder_with_something_in_it_is_refused(report: EvalReport, tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    with pytest.raises(ArtifactError, match="is not an empty folder"):
        write_log(Library.of(report.path.parents[3]), report, "inspect", tmp_path)


def test_the_model_index_of_a_card_has_the_scores(report: EvalReport) -> None:
    entries = {entry.metric_type: entry for entry in model_index([report])}
    assert entries["pass@1"].metric_value == 0.5
    assert (entries["pass@1"].dataset_type, entries["pass@1"].metric_args["samples"]) == ("evaluation", 2)
