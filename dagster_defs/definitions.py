"""The code location: all assets, their checks, one resource, one IO manager.

Light to load: nothing here or below imports torch, transformers, trl or mlflow before an asset runs.
"""

from collections.abc import Mapping, Sequence

import dagster as dg

from dagster_defs import automation, partitions
from dagster_defs.assets import alignment, base, corpus, distill, evaluation, problems, reasoning, zero
from dagster_defs.assets.sources import READERS, recipe_mark, source_assets, source_keys
from dagster_defs.checks import blocking_checks, checks
from dagster_defs.io import HandleIOManager
from dagster_defs.jobs import jobs, schedules
from dagster_defs.pipeline import Pipeline
from dagster_defs.reconcile import reconciler
from dagster_defs.settings import Settings
from dagster_defs.watch import watcher
from r1_pipeline.artifacts.observer import Observer
from r1_pipeline.planning.plan import planned_hours
from r1_pipeline.profiles import Profile
from r1_pipeline.reruns import Rerun

MODULES = [problems, base, zero, reasoning, corpus, alignment, distill]


def definitions(settings: Settings, watching: Sequence[Observer] = ()) -> dg.Definitions:
    """The graph of one home, profile and seed; `watching` sees every stage of runs in this process.

    Raises `UnknownNameError` for a profile that does not exist.
    """
    pipeline = Pipeline(settings, watching)
    assets = [
        *dg.load_assets_from_modules(MODULES),
        *evaluation.evaluations,
        evaluation.preference_scores,
        evaluation.report,
    ]
    check_steps = frozenset(check.node_def.name for check in checks)
    hours = planned_hours(pipeline.profile)
    return dg.Definitions(
        assets=[
            *source_assets(pipeline.profile),
            *(governed(asset, pipeline.profile, hours) for asset in assets if isinstance(asset, dg.AssetsDefinition)),
        ],
        asset_checks=checks,
        jobs=jobs,
        sensors=[automation.sensor(), watcher, reconciler],
        schedules=schedules,
        resources={
            "pipeline": pipeline,
            "io_manager": HandleIOManager(settings.home, blocking_checks(checks), check_steps),
        },
        executor=dg.in_process_executor,
    )


def governed(asset: dg.AssetsDefinition, profile: Profile, hours: Mapping[str, float]) -> dg.AssetsDefinition:
    """`asset` as the profile has it: the recipe's fingerprint in the code version, the sources that feed it, and when
    it follows a change, by its group and its planned device hours."""

    def with_profile(spec: dg.AssetSpec) -> dg.AssetSpec:
        name = spec.key.path[0]
        mark = recipe_mark(profile, name)
        rerun = rerun_of(profile, spec, hours)
        return spec.replace_attributes(
            code_version=".".join(filter(None, (spec.code_version, mark))),
            automation_condition=automation.condition(rerun),
            partitions_def=partitions.traces(profile) if name == "reasoning_traces" else spec.partitions_def,
            deps=[*spec.deps, *(source_keys(profile, name) if name in READERS else ())],
        )

    return asset.map_asset_specs(with_profile)


def rerun_of(profile: Profile, spec: dg.AssetSpec, hours: Mapping[str, float]) -> Rerun:
    """When an asset follows a change; `hours` by asset, partition after a slash."""
    name = spec.key.to_user_string()
    costs = [cost for unit, cost in hours.items() if unit == name or unit.startswith(f"{name}/")]
    return profile.reruns.of(spec.group_name or "", max(costs, default=0.0))


defs = definitions(Settings.from_environment())
