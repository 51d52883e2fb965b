"""What a selection amounts to: single materializations with their order, and bundles that fit into one Dagster run.

A `PlannedRun` is a bundle: one Dagster run cannot mix partitioned and unpartitioned assets, so it is either all
unpartitioned assets that are ready, or one partition of those that are.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import dagster as dg
from dagster import AssetKey

from dagster_defs.asset_keys import node_name
from r1_pipeline.errors import RecipeError, UnknownNameError
from r1_pipeline.graph.bound import Bound, walk
from r1_pipeline.graph.node import AssetName

NAME = re.compile(r"[\w/.-]+")
"""What is meant as the name of an asset, and not as an expression of Dagster's."""
SYNTAX = "write r1_zero, +r1 (with all upstream), a list such as dev1,dev2, or key:evaluation/*"


@dataclass(frozen=True)
class PlannedRun:
    """Assets materialized by one Dagster run."""

    nodes: tuple[str, ...]
    partition: str | None


def select_nodes(graph: dg.Definitions, select: str | None) -> set[str]:
    """Nodes of a selection such as `r1_zero`, `r1_zero,dev1`, `+r1` (with all upstream) or `key:evaluation/*`.

    Raises `UnknownNameError` for an asset that does not exist, `RecipeError` for what selects nothing.
    """
    asset_graph = graph.resolve_asset_graph()
    runnable = set(asset_graph.materializable_asset_keys)
    if select is None:
        return set(map(node_name, runnable))
    names = {key.to_user_string() for key in runnable}
    chosen: set[AssetKey] = set()
    for piece in select.split(","):
        name = piece.strip().strip("+*")
        if NAME.fullmatch(name) and name not in names:
            raise UnknownNameError("asset", name, sorted(names))
        text = piece.strip().replace(name, f'key:"{name}"') if name in names else piece.strip()
        try:
            matched = dg.AssetSelection.from_string(text).resolve(asset_graph) & runnable
        except dg.DagsterError as error:
            raise RecipeError(f"the selection {piece!r} cannot be read ({error}); {SYNTAX}") from error
        if not matched:
            raise RecipeError(f"the selection {piece!r} names no asset; {SYNTAX}")
        chosen |= matched
    return set(map(node_name, chosen))


def dependencies(bound: Bound, nodes: set[str]) -> dict[AssetName, frozenset[AssetName]]:
    """Every artifact of these nodes with those among them that it waits for, parents first."""
    return {
        name: frozenset(parent for parent in bound.reads(name) if parent.asset in nodes) for name in walk(bound, nodes)
    }


def descendants(dependencies: Mapping[AssetName, frozenset[AssetName]]) -> dict[AssetName, set[AssetName]]:
    """Every artifact with those that are made from it, in however many steps."""
    below: dict[AssetName, set[AssetName]] = {unit: set() for unit in dependencies}
    for unit in reversed(list(dependencies)):
        for parent in dependencies[unit]:
            below[parent] |= {unit} | below[unit]
    return below


def priorities(dependencies: Mapping[AssetName, frozenset[AssetName]]) -> dict[AssetName, int]:
    """How many units lie below each: what most wait for goes first."""
    return {unit: len(below) for unit, below in descendants(dependencies).items()}


def planned_runs(
    dependencies: Mapping[AssetName, frozenset[AssetName]], wanted: Iterable[AssetName]
) -> Iterator[PlannedRun]:
    """The fewest Dagster runs that materialize `wanted`, in order; units outside `wanted` count as done."""
    remaining = [unit for unit in dependencies if unit in set(wanted)]
    done = set(dependencies) - set(remaining)
    while remaining:
        for partition in dict.fromkeys(unit.partition for unit in remaining):
            bundle: list[AssetName] = []
            for unit in remaining:
                if unit.partition == partition and dependencies[unit] <= done | set(bundle):
                    bundle.append(unit)
            if bundle:
                yield PlannedRun(tuple(unit.asset for unit in bundle), partition)
                done |= set(bundle)
        remaining = [unit for unit in remaining if unit not in done]
