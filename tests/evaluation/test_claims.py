"""A missed bar is visible in the lines of the terminal, in the exit code, and in the table of several seeds."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest
from report_fakes import report_inputs

from r1_pipeline.cli import report_summary
from r1_pipeline.cli.inspect_commands import report
from r1_pipeline.evaluation.inputs import GateResult, ReportInputs
from r1_pipeline.evaluation.report import report_json

HELD = report_inputs().model_copy(update={"gates": {"r1.no_regression_math": GateResult(
    passed=True, blocking=False, value=0.01, limit=0.0)}})  # fmt: skip


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands set the home in the environment."""
    for name in ("R1_HOME", "R1_PROFILE", "R1_SEED", "R1_SOURCES", "R1_RECIPE"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def missing_bar() -> ReportInputs:
    known = {name: each for name, each in HELD.models.items() if name != "dev2_no_language_reward"}
    return HELD.model_copy(update={"models": known})


def stored(home: Path, inputs: ReportInputs) -> Path:
    (home / "report").mkdir(parents=True)
    (home / "home.json").write_text('{"schema": 1}', encoding="utf-8")
    (home / "report" / "report.json").write_text(json.dumps(report_json(inputs)), encoding="utf-8")
    return home


def test_every_missed_bar_and_failed_gate_has_one_line_and_the_met_ones_are_counted() -> None:
    bars = [
        {"claim": "met", "value": 0.5, "interval": None, "sense": "at least", "limit": 0.4, "passed": True},
        {"claim": "gain", "value": 0.1, "interval": [0.02, 0.18], "sense": "at least", "limit": 0.4, "passed": False},
        {"claim": "absent", "value": None, "interval": None, "sense": "above", "limit": 0, "passed": None},
    ]
    gates = {"r1.no_regression_logic": {"passed": False, "blocking": False, "value": -0.04, "limit": 0.0}}
    assert report_summary.summary({"bars": bars, "gates": gates}) == [
        "bar missed: gain: 0.1 (0.02 to 0.18), must be ≥ 0.4",
        "bar missed: absent: not measured, must be > 0",
        "gate failed: r1.no_regression_logic: -0.04, limit 0",
        "1 of 3 bars met",
    ]
    assert report_summary.summary({"bars": [], "gates": {}}) == []


def test_the_check_leaves_with_one_exactly_where_a_claim_does_not_hold(tmp_path: Path) -> None:
    report(home=stored(tmp_path / "held", HELD), check=True)
    with pytest.raises(SystemExit) as left:
        report(home=stored(tmp_path / "missed", missing_bar()), check=True)
    assert left.value.code == 1
    failed = {"r1.no_regression_math": GateResult(passed=False, blocking=False, value=-0.1, limit=0.0)}
    with pytest.raises(SystemExit):
        report(home=stored(tmp_path / "warned", HELD.model_copy(update={"gates": failed})), check=True)


def test_a_report_that_claims_nothing_does_not_pass_the_check(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    home = stored(tmp_path, HELD.model_copy(update={"profile": "smoke"}))
    with pytest.raises(SystemExit):
        report(home=home, check=True)
    assert "makes no claims to check" in capfd.readouterr().err


@pytest.fixture
def seeds() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "seeds.py"
    spec = importlib.util.spec_from_file_location("seeds_benchmark", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def finished(folder: Path, seed: int, rate: float, commit: str = "a") -> None:
    found = report_json(HELD.model_copy(update={"seed": seed}))
    found["models"]["r1"]["by_domain"]["math"]["pass_at_1"] = rate
    made = {"processor": "toy, 2 cores", "commit": commit, "report": found}
    (folder / f"seed-{seed}.json").write_text(json.dumps(made), encoding="utf-8")


def test_finished_seeds_are_not_repeated_and_their_figures_are_ranges(
    seeds: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed, rate in enumerate((0.7, 0.9, 0.8)):
        finished(tmp_path, seed, rate)
    seeds.main([str(tmp_path), "--seeds", "3"])
    found = capsys.readouterr().out
    assert "| `r1` math pass@1 | 0.800 | 0.700 | 0.900 | 0.700 | 0.900 | 0.800 |" in found
    assert "toy, 2 cores: 13 to 13 minutes of work a seed, 3 seeds" in found


def test_seeds_of_two_versions_are_refused(seeds: ModuleType, tmp_path: Path) -> None:
    finished(tmp_path, 0, 0.7)
    finished(tmp_path, 1, 0.7, commit="b")
    with pytest.raises(SystemExit, match="seeds of different versions"):
        seeds.main([str(tmp_path), "--seeds", "2"])
