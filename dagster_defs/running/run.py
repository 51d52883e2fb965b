"""Materializing a selection from the terminal, through Dagster, on one or more lanes.

With one lane everything happens in this process, in as few Dagster runs as possible. With more, that goes for what is
fresh already (its artifacts are verified and its checks asked again), and the rest is computed unit by unit, as soon as
its inputs are there, each in a Dagster run of its own, by one worker process a lane. All runs carry one tag, `r1/run`.
"""

import logging
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dagster import DagsterInstance

from dagster_defs.code_location import code_location
from dagster_defs.execution.reconcile import limit_devices, reconcile
from dagster_defs.pipeline import PIPELINE_RUN_TAG
from dagster_defs.running.executor import Executor, Failure
from dagster_defs.running.lanes import compute
from dagster_defs.settings import Settings
from dagster_defs.staleness.drift import Drifts
from dagster_defs.staleness.waves import selected, waits, waves
from dagster_defs.tracking.stage_runs import Tracking
from r1_pipeline.artifacts.kinds import Artifact
from r1_pipeline.artifacts.observer import Observer, Observers
from r1_pipeline.graph.node import AssetName
from r1_pipeline.profiles import Profile


class Witness(Observer):
    """Knows whether anything was computed at all."""

    computed = False

    def began(
        self, name: str, fingerprint: str, payload: Mapping[str, Any], inputs: Mapping[str, Artifact], metrics: Path
    ) -> Mapping[str, str]:
        self.computed = True
        return {}


def run(settings: Settings, select: str | None, watching: Sequence[Observer]) -> Failure | None:
    """Materialize the selection (all assets by default); returns the first failure, after which nothing is started.

    Raises `UnknownNameError` for an asset or profile that does not exist, `RequirementError` for
    what this machine lacks.
    """
    profile = settings.load()
    profile.require()
    if select is not None:
        selected(code_location(settings), select)  # before anything is written
    settings.export()
    reconcile(settings)
    limit_devices(settings, profile.runtime.lanes)
    tracking, warn = Tracking.of(settings), logging.getLogger(__name__).warning
    tracking.pay(warn)
    witness = Witness()
    tags = {PIPELINE_RUN_TAG: uuid.uuid4().hex, "r1/profile": settings.profile, "r1/seed": str(settings.seed)}
    here = Executor(settings, tags, Observers([*watching, witness]))
    here.look(profile)
    wanted = waits(profile.bound, selected(here.graph, select))
    lanes = profile.runtime.lanes
    done = fresh(settings, profile, wanted) if lanes > 1 else set(wanted)
    ended = "KILLED"
    try:
        failure = None
        for wave in waves(wanted, done):
            failure = here.materialize(wave.nodes, wave.partition)
            if failure:
                break
        if failure is None and len(done) < len(wanted):
            failure = compute(here, wanted, done, lanes)
        ended = "FAILED" if failure else "FINISHED"
    finally:
        if witness.computed:
            with tracking.tolerant("close the run", warn):
                tracking.close_parent(tags[PIPELINE_RUN_TAG], ended)
    return failure


def fresh(settings: Settings, profile: Profile, wanted: Mapping[AssetName, frozenset[AssetName]]) -> set[AssetName]:
    """What is fresh, and whose inputs are, all the way up."""
    found: set[AssetName] = set()
    with DagsterInstance.from_config(str(settings.dagster_home)) as instance:
        drifts = Drifts(settings.home, profile, instance)
        for name, parents in wanted.items():
            if parents <= found and drifts.of(name).state == "fresh":
                found.add(name)
    return found
