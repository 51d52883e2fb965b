"""Drift: what an asset would be made from now, beside what its newest materialization was made from.

The asset's own function is asked, with a store that computes the fingerprint and stops: so stage version, recipe,
verifiers, engine and input digests all count, and nothing else does. `r1 status`, `r1 run` and automation use this one
answer. Inputs are the newest versions that passed their gates. Not covered: whether files on disk are intact (opening
an artifact verifies that).
"""

import typing
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import dagster as dg
from dagster import AssetKey, DagsterInstance

from dagster_defs.io import address_of, latest_good, newest_record, passed_checks
from dagster_defs.metadata import ADDRESS, FINGERPRINT
from dagster_defs.pipeline import report_fingerprint
from dagster_defs.waves import Unit, partitions_read
from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.kinds import Artifact, peek_artifact
from r1_pipeline.artifacts.manifest import Manifest, read_manifest
from r1_pipeline.artifacts.store import Facts, Spec
from r1_pipeline.errors import GateFailedError
from r1_pipeline.profiles import Profile
from r1_pipeline.recipe import canonical_value, fingerprint
from r1_pipeline.records import Record
from r1_pipeline.runtime.workshop import Workshop

State = Literal["fresh", "stale", "missing", "failed gate"]


class Drift(Record):
    """State of one asset or partition."""

    state: State
    wanted: str | None
    """Fingerprint of what would be made now; None where an input is missing or did not pass."""
    why: tuple[str, ...]
    """What differs, each on its own."""


class Wanted(Exception):
    """Raised in the place of making something: the fingerprint and what it hashes."""

    def __init__(self, print_: str, payload: Mapping[str, Any]) -> None:
        super().__init__(print_)
        self.fingerprint = print_
        self.payload = payload


class _Asking:
    """In the place of a store: finds what exists, unverified, and makes nothing."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def build(self, kind: type[Artifact], spec: Spec, _: Callable[[Draft], Facts]) -> Artifact:
        payload = spec.payload()
        print_ = fingerprint(payload)
        path = self._root / kind.kind / spec.name / print_
        if not path.exists():
            raise Wanted(print_, payload)
        return peek_artifact(path)


class _Probe:
    """In the place of the resource `pipeline`: gives assets what they ask for and returns what they want."""

    def __init__(self, home: Path, profile: Profile, name: str) -> None:
        self._profile = profile
        self._at = Workshop(typing.cast(Any, _Asking(home / "artifacts")), profile.runtime, name)

    def materialize(self, _: Any, call: Callable[[Workshop, Any], Artifact]) -> Wanted:
        try:
            made = call(self._at, self._profile.recipe)
        except Wanted as wanted:
            return wanted
        return Wanted(made.manifest.fingerprint, made.manifest.payload)

    def report(self, _: Any, artifacts: Mapping[str, Artifact]) -> Wanted:
        return Wanted(report_fingerprint(self._profile, artifacts), {})


class Drifts:
    """The states of one graph at one moment; every answer is worked out once."""

    def __init__(self, home: Path, profile: Profile, graph: dg.Definitions, instance: DagsterInstance) -> None:
        from dagster_defs.checks import blocking_checks, checks

        self._home = home
        self.profile = profile
        self._instance = instance
        self._graph = graph.resolve_asset_graph()
        self._assets = {key: a for a in graph.assets or [] if isinstance(a, dg.AssetsDefinition) for key in a.keys}
        self._blocking = blocking_checks(checks)
        self._good: dict[Unit, Artifact | None] = {}
        self._found: dict[Unit, Drift] = {}

    @cached_property
    def units(self) -> list[Unit]:
        """All materializable assets and partitions, in topological order."""
        keys = [key for key in self._graph.toposorted_asset_keys if key in self._graph.materializable_asset_keys]
        return [unit for key in keys for unit in self.units_of(key)]

    def units_of(self, key: AssetKey) -> list[Unit]:
        """An asset's partitions, or the asset."""
        return [Unit(key, partition) for partition in (self._partitions(key) or (None,))]

    def of(self, unit: Unit) -> Drift:
        """State of one unit."""
        if unit not in self._found:
            self._found[unit] = self._compare(unit)
        return self._found[unit]

    def _compare(self, unit: Unit) -> Drift:
        record = newest_record(self._instance, unit.asset, unit.partition)
        wanted = self._wanted(unit)
        print_ = wanted.fingerprint if isinstance(wanted, Wanted) else None
        if record is None or record.asset_materialization is None:
            why = "never materialized" if isinstance(wanted, Wanted) else f"waits for {wanted}"
            return Drift(state="missing", wanted=print_, why=(why,))
        gates = self._blocking.get(unit.asset, frozenset())
        failed = sorted(gates - passed_checks(self._instance, unit.asset, record.storage_id, gates))
        made = record.asset_materialization
        if isinstance(wanted, str):
            return Drift(state="stale", wanted=None, why=(f"waits for {wanted}",))
        of_made, address = made.metadata.get(FINGERPRINT), made.metadata.get(ADDRESS)
        if address is not None and not (self._home / str(address.value)).exists():
            return Drift(state="missing", wanted=print_, why=(f"{address.value} is gone",))
        if of_made is None or of_made.value != wanted.fingerprint:
            manifest = read_manifest(self._home / str(address.value)) if address else None
            return Drift(state="stale", wanted=print_, why=differences(manifest, wanted, self._home))
        if failed:
            return Drift(state="failed gate", wanted=print_, why=tuple(failed))
        return Drift(state="fresh", wanted=print_, why=())

    def _wanted(self, unit: Unit) -> Wanted | str:
        """What the unit would be made from, or the name of the input that it waits for."""
        asset = self._assets[unit.asset]
        function = getattr(asset.node_def, "compute_fn").decorated_fn  # noqa: B009
        hints = typing.get_type_hints(function)
        inputs: dict[str, Any] = {}
        for name, key in asset.keys_by_input_name.items():
            if key not in self._graph.materializable_asset_keys:
                continue
            mapping = asset.get_partition_mapping_for_dep(key)
            alike = self._graph.get(key).partitions_def == asset.partitions_def
            partitions = partitions_read(mapping, unit.partition, self._partitions(key), alike)
            handles = {partition: self._input(Unit(key, partition)) for partition in partitions}
            for partition, handle in handles.items():
                if handle is None:
                    return Unit(key, partition).name
            one = len(handles) == 1 and _takes_one(hints.get(name))
            inputs[name] = next(iter(handles.values())) if one or partitions == [None] else handles
        context = SimpleNamespace(partition_key=unit.partition)
        found = function(context, _Probe(self._home, self.profile, unit.name), **inputs)
        assert isinstance(found, Wanted)
        return found

    def _input(self, unit: Unit) -> Artifact | None:
        """The newest version that passed its gates; None where there is none, or it is gone."""
        if unit not in self._good:
            gates = self._blocking.get(unit.asset, frozenset())
            self._good[unit] = None
            with suppress(GateFailedError):
                path = self._home / address_of(latest_good(self._instance, unit.asset, unit.partition, gates))
                self._good[unit] = peek_artifact(path) if path.exists() else None
        return self._good[unit]

    def _partitions(self, key: AssetKey) -> list[str]:
        cut = self._graph.get(key).partitions_def
        return list(cut.get_partition_keys()) if cut else []


def _takes_one(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, Artifact)


def differences(made: Manifest | None, wanted: Wanted, home: Path) -> tuple[str, ...]:
    """`recipe.steps 96 → 120` for each value that differs; what was made in two steps is compared step by step."""
    if made is None:
        return ("an input has changed",)
    stage = wanted.payload.get("stage", made.stage)
    if made.stage != stage:
        earlier = [ref for ref in made.inputs.values() if ref.name == made.name]
        made = read_manifest(home / "artifacts" / earlier[0].kind / earlier[0].name / earlier[0].fingerprint)
    before, after = flat(made.payload), flat(canonical_value(dict(wanted.payload)))
    changed = (
        f"{name} {_short(before.get(name))} → {_short(after.get(name))}"
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    )
    return tuple(changed)


def flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Dotted path -> scalar of a nested mapping."""
    from dagster_defs.mlflow_runs import flatten

    return dict(flatten(value, prefix))


def _short(value: Any) -> str:
    text = str(value)
    return text[:12] if len(text) == 64 and text.isalnum() else text
