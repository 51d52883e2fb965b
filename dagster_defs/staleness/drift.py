"""Drift: what an artifact would be made from now, beside what its newest materialization was made from.

Stage version, recipe, verifiers, engine and input digests make a fingerprint (a verb's `spec`, which makes nothing);
it is compared with the one that Dagster recorded. `r1 status`, `r1 run` and automation use this one answer. Inputs are
the newest versions that passed their gates. Not covered: whether files on disk are intact (opening an artifact
verifies that).
"""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from dagster import DagsterInstance

from dagster_defs.io import address_of, blocking_checks, latest_good, newest_record, passed_checks
from dagster_defs.keys import asset_key
from dagster_defs.metadata import ADDRESS, FINGERPRINT
from dagster_defs.pipeline import report_fingerprint
from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.kinds import Artifact, peek_artifact
from r1_pipeline.artifacts.manifest import Manifest, read_manifest
from r1_pipeline.artifacts.store import Facts, Spec
from r1_pipeline.errors import GateFailedError
from r1_pipeline.graph.node import AssetName
from r1_pipeline.profiles import Profile
from r1_pipeline.recipe import canonical_value, fingerprint, flat
from r1_pipeline.records import Record
from r1_pipeline.runtime.workshop import Workshop

State = Literal["fresh", "stale", "missing", "failed gate"]


class Drift(Record):
    """State of one artifact of the graph."""

    state: State
    wanted: str | None
    """Fingerprint of what would be made now; None where an input is missing or did not pass."""
    why: tuple[str, ...]
    """What differs, each on its own."""


class Wanted(Record):
    """What would be made now: the fingerprint and what it hashes."""

    fingerprint: str
    payload: dict[str, Any]


class _Nowhere:
    """Stands in the place of a store where specs are stated and nothing is made."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def build(self, kind: type[Any], spec: Spec, make: Callable[[Draft], Facts]) -> Any:
        """Never called: stating a spec builds nothing."""
        raise AssertionError(f"{spec.name} would be built to state a spec")


class Drifts:
    """The states of one graph at one moment; every answer is worked out once."""

    def __init__(self, home: Path, profile: Profile, instance: DagsterInstance) -> None:
        self._home = home
        self.profile = profile
        self.bound = profile.bound
        self._instance = instance
        self._blocking = blocking_checks(profile.graph)
        self._good: dict[AssetName, Artifact | None] = {}
        self._found: dict[AssetName, Drift] = {}

    def of(self, name: AssetName) -> Drift:
        """State of one artifact."""
        if name not in self._found:
            self._found[name] = self._compare(name)
        return self._found[name]

    def _compare(self, name: AssetName) -> Drift:
        key = asset_key(name.asset)
        record = newest_record(self._instance, key, name.partition)
        wanted = self._wanted(name)
        print_ = wanted.fingerprint if isinstance(wanted, Wanted) else None
        if record is None or record.asset_materialization is None:
            why = "never materialized" if isinstance(wanted, Wanted) else f"waits for {wanted}"
            return Drift(state="missing", wanted=print_, why=(why,))
        gates = self._blocking.get(key, frozenset())
        failed = sorted(gates - passed_checks(self._instance, key, record.storage_id, gates))
        made = record.asset_materialization
        if isinstance(wanted, AssetName):
            return Drift(state="stale", wanted=None, why=(f"waits for {wanted}",))
        of_made, address = made.metadata.get(FINGERPRINT), made.metadata.get(ADDRESS)
        if address is not None and not (self._home / str(address.value)).exists():
            return Drift(state="missing", wanted=print_, why=(f"{address.value} is gone",))
        if of_made is None or of_made.value != wanted.fingerprint:
            manifest = read_manifest(self._home / str(address.value)) if address else None
            return Drift(state="stale", wanted=print_, why=differences(manifest, wanted))
        if failed:
            return Drift(state="failed gate", wanted=print_, why=tuple(failed))
        return Drift(state="fresh", wanted=print_, why=())

    def _wanted(self, name: AssetName) -> Wanted | AssetName:
        """What would be made, or the input that it waits for."""
        inputs: dict[AssetName, Artifact] = {}
        for each in self.bound.reads(name):
            found = self._input(each)
            if found is None:
                return each
            inputs[each] = found
        verb = self.bound.graph.node(name.asset).verb
        if verb is None:
            by_name = {str(each): artifact for each, artifact in inputs.items()}
            return Wanted(fingerprint=report_fingerprint(self.profile, name, by_name), payload={})
        at = Workshop(_Nowhere(self._home), self.profile.runtime, str(name))
        payload = verb.spec_of(at, self.bound.build(name, at, inputs.__getitem__)).payload()
        return Wanted(fingerprint=fingerprint(payload), payload=payload)

    def _input(self, name: AssetName) -> Artifact | None:
        """The newest version that passed its gates; None where there is none, or it is gone."""
        if name not in self._good:
            key = asset_key(name.asset)
            self._good[name] = None
            with suppress(GateFailedError):
                gates = self._blocking.get(key, frozenset())
                path = self._home / address_of(latest_good(self._instance, key, name.partition, gates))
                self._good[name] = peek_artifact(path) if path.exists() else None
        return self._good[name]


def differences(made: Manifest | None, wanted: Wanted) -> tuple[str, ...]:
    """`recipe.steps 96 → 120` for each value that differs."""
    if made is None:
        return ("an input has changed",)
    before, after = dict(flat(made.payload)), dict(flat(canonical_value(wanted.payload)))
    changed = (
        f"{name} {_short(before.get(name))} → {_short(after.get(name))}"
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    )
    return tuple(changed)


def _short(value: Any) -> str:
    text = str(value)
    return text[:12] if len(text) == 64 and text.isalnum() else text
