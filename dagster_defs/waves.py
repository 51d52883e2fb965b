"""What a selection amounts to: single materializations with their order, and bundles that fit into one Dagster run.

A `Unit` is one asset, or one partition of one. A `Wave` is a bundle: one Dagster run cannot mix partitioned and
unpartitioned assets, so it is either all unpartitioned assets that are ready, or one partition of those that are.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import dagster as dg
from dagster import AssetKey

from r1_pipeline.errors import UnknownNameError


@dataclass(frozen=True)
class Unit:
    """One materialization."""

    asset: AssetKey
    partition: str | None

    @property
    def name(self) -> str:
        """Asset key, partition after a slash."""
        return "/".join([*self.asset.path, self.partition] if self.partition else self.asset.path)


@dataclass(frozen=True)
class Wave:
    """Assets materialized by one Dagster run."""

    assets: tuple[AssetKey, ...]
    partition: str | None


def selected(graph: dg.Definitions, select: str | None) -> set[AssetKey]:
    """Asset keys of a selection such as `r1_zero`, `r1_zero,dev1`, `+r1` (with all upstream) or `key:evaluation/*`.

    Raises `UnknownNameError` for an asset that does not exist.
    """
    asset_graph = graph.resolve_asset_graph()
    runnable = set(asset_graph.materializable_asset_keys)
    if select is None:
        return runnable
    known = {key.to_user_string() for key in runnable}
    chosen: set[AssetKey] = set()
    for piece in select.split(","):
        name = piece.strip().strip("+*")
        if name.replace("_", "").replace("/", "").isalnum() and name not in known:
            raise UnknownNameError("asset", name, sorted(known))
        text = piece.strip().replace(name, f'key:"{name}"') if name in known else piece.strip()
        chosen |= dg.AssetSelection.from_string(text).resolve(asset_graph)
    return chosen & runnable


def units(graph: dg.Definitions, chosen: set[AssetKey]) -> dict[Unit, frozenset[Unit]]:
    """Every unit of `chosen` with the units it waits for, in topological order.

    A partition waits for the same partition of an upstream that is cut alike, else for all of it.
    """
    asset_graph = graph.resolve_asset_graph()
    cut = {key: asset_graph.get(key).partitions_def for key in chosen}

    def of(key: AssetKey) -> list[Unit]:
        cuts = cut[key]
        return [Unit(key, partition) for partition in cuts.get_partition_keys()] if cuts else [Unit(key, None)]

    waits: dict[Unit, frozenset[Unit]] = {}
    for key in asset_graph.toposorted_asset_keys:
        if key not in chosen:
            continue
        parents = asset_graph.get(key).parent_keys & chosen
        for unit in of(key):
            alike = {p for p in parents if cut[p] is not None and cut[p] == cut[key]}
            same = {Unit(parent, unit.partition) for parent in alike}
            waits[unit] = frozenset(same | {u for parent in parents - alike for u in of(parent)})
    return waits


def partitions_read(
    mapping: dg.PartitionMapping | None, partition: str | None, upstream: Sequence[str], alike: bool
) -> list[str | None]:
    """Partitions of an upstream (all: `upstream`, none if it has none) that one partition downstream reads."""
    if not upstream:
        return [None]
    if isinstance(mapping, dg.SpecificPartitionsPartitionMapping):
        return list(mapping.partition_keys)
    return [partition] if alike and partition else list(upstream)


def below(waits: Mapping[Unit, frozenset[Unit]]) -> dict[Unit, set[Unit]]:
    """Every unit with the units that are made from it, in however many steps."""
    under: dict[Unit, set[Unit]] = {unit: set() for unit in waits}
    for unit in reversed(list(waits)):
        for parent in waits[unit]:
            under[parent] |= {unit} | under[unit]
    return under


def weights(waits: Mapping[Unit, frozenset[Unit]]) -> dict[Unit, int]:
    """How many units lie below each: what most wait for goes first."""
    return {unit: len(under) for unit, under in below(waits).items()}


def waves(waits: Mapping[Unit, frozenset[Unit]], wanted: Iterable[Unit]) -> Iterator[Wave]:
    """The fewest Dagster runs that materialize `wanted`, in order; units outside `wanted` count as done."""
    left = [unit for unit in waits if unit in set(wanted)]
    done = set(waits) - set(left)
    while left:
        for partition in dict.fromkeys(unit.partition for unit in left):
            bundle: list[Unit] = []
            for unit in left:
                if unit.partition == partition and waits[unit] <= done | set(bundle):
                    bundle.append(unit)
            if bundle:
                yield Wave(tuple(unit.asset for unit in bundle), partition)
                done |= set(bundle)
        left = [unit for unit in left if unit not in done]
