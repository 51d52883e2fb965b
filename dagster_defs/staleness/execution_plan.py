"""The execution plan of a selection: artifacts in order of their dependencies, grouped into Dagster runs.

One Dagster run cannot mix partitioned and unpartitioned assets. A `PlannedRun` therefore holds either unpartitioned
assets that are ready, or one partition of the assets that are.
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
"""Pattern of a plain asset name, as opposed to a selection expression of Dagster's."""
SYNTAX = "write r1_zero, +r1 (with all upstream), a list such as dev1,dev2, or key:evaluation/*"


@dataclass(frozen=True)
class PlannedRun:
    """Assets that one Dagster run materializes."""

    nodes: tuple[str, ...]
    partition: str | None


def select_nodes(graph: dg.Definitions, select: str | None) -> set[str]:
    """Returns the nodes of a selection such as `r1_zero`, `r1_zero,dev1`, `+r1` (with all upstream) or
    `key:evaluation/*`.

    Raises `UnknownNameError` for an unknown asset, and `RecipeError` for an expression that is invalid or selects
    nothing.
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
            raise RecipeError(f"the selection {piece!r} is invalid ({error}); {SYNTAX}") from error
        if not matched:
            raise RecipeError(f"the selection {piece!r} selects no asset; {SYNTAX}")
        chosen |= matched
    return set(map(node_name, chosen))


def dependencies(bound: Bound, nodes: set[str]) -> dict[AssetName, frozenset[AssetName]]:
    """Returns every artifact of these nodes with the artifacts among them that it depends on, parents first."""
    return {
        name: frozenset(parent for parent in bound.reads(name) if parent.asset in nodes) for name in walk(bound, nodes)
    }


def descendants(dependencies: Mapping[AssetName, frozenset[AssetName]]) -> dict[AssetName, set[AssetName]]:
    """Returns every artifact with all artifacts downstream of it."""
    below: dict[AssetName, set[AssetName]] = {unit: set() for unit in dependencies}
    for unit in reversed(list(dependencies)):
        for parent in dependencies[unit]:
            below[parent] |= {unit} | below[unit]
    return below


def priorities(dependencies: Mapping[AssetName, frozenset[AssetName]]) -> dict[AssetName, int]:
    """Returns the number of artifacts downstream of each artifact; the largest number runs first."""
    return {unit: len(below) for unit, below in descendants(dependencies).items()}


def planned_runs(
    dependencies: Mapping[AssetName, frozenset[AssetName]], wanted: Iterable[AssetName]
) -> Iterator[PlannedRun]:
    """Yields the fewest Dagster runs that materialize `wanted`, in order; all other artifacts count as done."""
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
