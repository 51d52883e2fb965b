"""Resolves staleness: compares what an artifact would be built from now with what its newest version was built from.

Stage version, recipe, verifiers, engine and input digests make a fingerprint. A verb's `spec` states it without
building anything, and it is compared with the fingerprint that Dagster recorded. `r1 status`, `r1 run` and automation
share this answer. Inputs are the newest versions that passed their gates. Not covered: the integrity of files on disk,
which is verified when an artifact is opened.
"""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from dagster import DagsterInstance, EventLogRecord

from dagster_defs.asset_keys import asset_key
from dagster_defs.io_manager import address_of, blocking_checks, latest_good_record, latest_record, passed_checks
from dagster_defs.metadata import ADDRESS, FINGERPRINT
from dagster_defs.pipeline import report_fingerprint
from dagster_defs.staleness.differences import differences
from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.kinds import Artifact, peek_artifact
from r1_pipeline.artifacts.manifest import read_manifest
from r1_pipeline.artifacts.store import BuildResult, Spec
from r1_pipeline.errors import GateFailedError
from r1_pipeline.graph.node import AssetName
from r1_pipeline.profiles import Profile
from r1_pipeline.recipe import canonical_value, fingerprint
from r1_pipeline.records import Record
from r1_pipeline.runtime.build_context import BuildContext

State = Literal["fresh", "stale", "missing", "failed gate"]


class Staleness(Record):
    """The state of one artifact of the graph."""

    state: State
    desired_fingerprint: str | None
    """Fingerprint of the build that is due now, or None if an input is missing or did not pass its gates."""
    why: tuple[str, ...]
    """The reasons, one difference each."""


class DesiredBuild(Record):
    """The build that is due now: its fingerprint and the values that it hashes."""

    fingerprint: str
    payload: dict[str, Any]


class _SpecOnlyStore:
    """A stand-in for the store that states builds and executes none."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def build(self, kind: type[Any], spec: Spec, make: Callable[[Draft], BuildResult]) -> Any:
        """Raises `AssertionError`, since stating a build executes nothing."""
        raise AssertionError(f"stating the spec of {spec.name} must not build it")


class StalenessResolver:
    """The states of one graph at one moment, each computed once."""

    def __init__(self, home: Path, profile: Profile, instance: DagsterInstance) -> None:
        self._home = home
        self.profile = profile
        self.bound = profile.bound
        self._instance = instance
        self._blocking = blocking_checks(profile.graph)
        self._latest_good: dict[AssetName, Artifact | None] = {}
        self._answers: dict[AssetName, Staleness] = {}
        self._records: dict[AssetName, EventLogRecord | None] = {}
        self._passed: dict[AssetName, set[str]] = {}

    def record(self, name: AssetName) -> EventLogRecord | None:
        """Returns the newest materialization of one artifact, regardless of its checks."""
        if name not in self._records:
            self._records[name] = latest_record(self._instance, asset_key(name.asset), name.partition)
        return self._records[name]

    def of(self, name: AssetName) -> Staleness:
        """Returns the state of one artifact."""
        if name not in self._answers:
            self._answers[name] = self._compare(name)
        return self._answers[name]

    def _compare(self, name: AssetName) -> Staleness:
        key = asset_key(name.asset)
        record = self.record(name)
        desired = self._desired_build(name)
        desired_fingerprint = desired.fingerprint if isinstance(desired, DesiredBuild) else None
        if record is None or record.asset_materialization is None:
            due = "never materialized" if isinstance(desired, DesiredBuild) else f"waits for {desired}"
            return Staleness(state="missing", desired_fingerprint=desired_fingerprint, why=(due,))
        failed = sorted(self._blocking.get(key, frozenset()) - self._checks_passed(name, record))
        materialization = record.asset_materialization
        if isinstance(desired, AssetName):
            return Staleness(state="stale", desired_fingerprint=None, why=(f"waits for {desired}",))
        recorded, address = materialization.metadata.get(FINGERPRINT), materialization.metadata.get(ADDRESS)
        if address is not None and not (self._home / str(address.value)).exists():
            return Staleness(
                state="missing", desired_fingerprint=desired_fingerprint, why=(f"{address.value} is gone",)
            )
        if recorded is None or recorded.value != desired.fingerprint:
            made = read_manifest(self._home / str(address.value)).payload if address else None
            why = ("an input has changed",) if made is None else differences(made, canonical_value(desired.payload))
            return Staleness(state="stale", desired_fingerprint=desired_fingerprint, why=why)
        if failed:
            return Staleness(state="failed gate", desired_fingerprint=desired_fingerprint, why=tuple(failed))
        return Staleness(state="fresh", desired_fingerprint=desired_fingerprint, why=())

    def _desired_build(self, name: AssetName) -> DesiredBuild | AssetName:
        """Returns the build that is due now, or the input that it waits for."""
        inputs: dict[AssetName, Artifact] = {}
        for each in self.bound.reads(name):
            artifact = self._input(each)
            if artifact is None:
                return each
            inputs[each] = artifact
        verb = self.bound.graph.node(name.asset).verb
        if verb is None:
            by_name = {str(each): artifact for each, artifact in inputs.items()}
            return DesiredBuild(fingerprint=report_fingerprint(self.profile, name, by_name), payload={})
        context = BuildContext(_SpecOnlyStore(self._home), self.profile.runtime, str(name))
        payload = verb.spec_of(context, self.bound.build(name, context, inputs.__getitem__)).payload()
        return DesiredBuild(fingerprint=fingerprint(payload), payload=payload)

    def _input(self, name: AssetName) -> Artifact | None:
        """Returns the newest version that passed its gates, or None if there is none or its files are gone."""
        if name not in self._latest_good:
            self._latest_good[name] = None
            with suppress(GateFailedError):
                path = self._home / address_of(self._good_record(name))
                self._latest_good[name] = peek_artifact(path) if path.exists() else None
        return self._latest_good[name]

    def _good_record(self, name: AssetName) -> EventLogRecord:
        """Returns the newest materialization that passed its gates; older ones are read only if the newest did not."""
        key, record = asset_key(name.asset), self.record(name)
        gates = self._blocking.get(key, frozenset())
        if record is not None and gates <= self._checks_passed(name, record):
            return record
        return latest_good_record(self._instance, key, name.partition, gates)

    def _checks_passed(self, name: AssetName, newest: EventLogRecord) -> set[str]:
        """Returns the blocking checks that passed on the newest materialization."""
        if name not in self._passed:
            key = asset_key(name.asset)
            gates = self._blocking.get(key, frozenset())
            self._passed[name] = passed_checks(self._instance, key, newest.storage_id, gates)
        return self._passed[name]
