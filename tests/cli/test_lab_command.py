"""`r1 lab` on real runs of the profile smoke: variants at the plain run's tokens, reuse, guards, audit."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from r1_pipeline.artifacts.kinds import Artifact, Checkpoint
from r1_pipeline.artifacts.observer import Observer
from r1_pipeline.cli.lab import run_lab
from r1_pipeline.errors import UnknownNameError
from r1_pipeline.evaluation.lab import Lab
from r1_pipeline.graph.bound import changed
from r1_pipeline.graph.node import AssetName
from r1_pipeline.home import HomeSettings
from r1_pipeline.lineage.audit import audit
from r1_pipeline.lineage.library import Library
from r1_pipeline.profiles import load_profile
from r1_pipeline.profiles.lab import STEPS, VARIANTS, Variant, misfits, with_variants
from r1_pipeline.recipe import Runtime
from r1_pipeline.training.objectives import OBJECTIVES

NAMES = ("rloo", "maxrl", "collapsed")
COLLAPSED = Variant({"grpo.guards.entropy_floor": 1000.0}, "No policy has an entropy of 1000 nats", "control")


class Began(Observer):
    """Notes what is computed."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def began(
        self, name: str, fingerprint: str, payload: Mapping[str, Any], inputs: Mapping[str, Artifact], metrics: Path
    ) -> Mapping[str, str]:
        self.names.append(name)
        return {}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a family of three variants, of which a guard stops one."""
    home = tmp_path_factory.mktemp("lab") / "home"
    if "collapsed" not in VARIANTS:
        VARIANTS.add("collapsed", COLLAPSED)
    run_lab(HomeSettings(home, "smoke", 0), NAMES, 1, Observer())
    return home


def test_a_family_is_one_page_and_negative_results_stay(home: Path) -> None:
    found = Lab(**json.loads((home / "lab" / "lab.json").read_text(encoding="utf-8")))
    assert [row.name for row in found.variants] == list(NAMES)
    assert found.plain.trials[0].marks
    assert "entropy" in found.variants[2].stopped[0].reason
    text = (home / "lab" / "lab.md").read_text(encoding="utf-8")
    assert "| `maxrl` | 100.0% |" in text
    assert "stopped in 1 of 1 runs" in text


def test_a_variant_ends_at_the_plain_runs_tokens(home: Path) -> None:
    library = Library.of(home)
    plain, variant = library.find("r1_zero"), library.find("r1_zero_rloo")
    assert isinstance(plain, Checkpoint) and isinstance(variant, Checkpoint)
    assert variant.manifest.payload["recipe"]["grpo"]["steps"] == STEPS * 2
    assert variant.metrics()[-1]["step"] == 2 == plain.metrics()[-1]["step"]
    assert variant.manifest.inputs["budget"].name == "r1_zero"


def test_a_second_run_computes_nothing_but_what_a_guard_stopped(home: Path) -> None:
    began = Began()
    run_lab(HomeSettings(home, "smoke", 0), NAMES, 1, began)
    assert began.names == ["r1_zero_collapsed"]


def test_rollouts_of_other_baselines_stand_up_to_an_audit(home: Path) -> None:
    library = Library.of(home)
    for name in ("r1_zero_rloo", "r1_zero_maxrl"):
        result = audit(library, [library.find(name)], full=False, runtime=Runtime(threads=1))
        assert result.findings == () and result.rollouts > 0


def test_every_variant_of_tiny_is_another_run_and_fits_the_other_profiles() -> None:
    bound = with_variants(load_profile("tiny", 0), VARIANTS).bound
    plain = bound.recipe(AssetName("r1_zero"))
    longer = changed(plain, "grpo.steps", STEPS * plain.grpo.steps)  # type: ignore[union-attr]
    assert all(bound.recipe(AssetName(f"r1_zero_{name}")) != longer for name in VARIANTS)
    assert set(OBJECTIVES) - set(VARIANTS) == {"grpo"}
    assert misfits(load_profile("smoke", 0)) == {}
    left_out = misfits(load_profile("laptop", 0))
    assert left_out.keys() == {"ppo", "ppo_lambda_095"}
    assert "set one of them to None" in left_out["ppo"]


def test_an_unknown_variant_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    settings = replace(HomeSettings(tmp_path / "home", "smoke", 0))
    with pytest.raises(UnknownNameError, match="unknown variant 'gspoo'; did you mean gspo"):
        run_lab(settings, ["gspoo"], 1, Observer())
    assert not (tmp_path / "home").exists()
