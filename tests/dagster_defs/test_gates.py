"""The law of gates: a model is judged even if only the model and its inputs were selected."""

from pathlib import Path

import pytest
from dagster import DagsterInstance
from homes import smoke_settings

from dagster_defs.asset_keys import asset_key
from dagster_defs.io_manager import latest_good_record
from dagster_defs.runner.executor import Executor
from r1_pipeline.artifacts.observer import Observer
from r1_pipeline.errors import GateFailedError
from r1_pipeline.lineage.library import Library


def test_what_was_never_made_is_named_with_the_command_that_makes_it() -> None:
    command = r"evaluation/distilled/qwen has never been materialized; .*: r1 run --select evaluation/distilled$"
    with DagsterInstance.ephemeral() as instance, pytest.raises(GateFailedError, match=command):
        latest_good_record(instance, asset_key("evaluation/distilled"), "qwen", frozenset())


def test_a_model_made_alone_is_judged_on_held_out_problems(tmp_path: Path) -> None:
    settings = smoke_settings(tmp_path)
    settings.export()
    worker = Executor(settings, {}, Observer())
    alone = ("base", "reasoning_problems", "r1_zero")

    failure = worker.materialize(alone, None)

    assert failure is None, failure
    made = {artifact.name for artifact in Library.of(settings.home).artifacts.values()}
    asked = {f"{kind}/{model}" for kind in ("answers", "evaluation") for model in ("base", "r1_zero")}
    assert made == {*alone, *asked, "heldout_problems"}
