"""Lists artifacts that nothing needs any more, and removes them on request.

The following artifacts are kept: for every asset and partition, the newest version of each profile and seed and the
newest version that passed its gates; recent materializations; present and former champions; and all upstream artifacts
of these. Not covered: the histories of Dagster and MLflow.
"""

import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from dagster import AssetKey, AssetRecordsFilter, DagsterInstance

from dagster_defs.instance import read_only_instance
from dagster_defs.io_manager import address_of, blocking_checks, latest_good_record
from dagster_defs.metadata import ADDRESS, PROFILE, SEED
from dagster_defs.settings import Settings
from dagster_defs.tracking.model_registry import champion_fingerprints
from r1_pipeline.artifacts.ancestry import with_ancestors
from r1_pipeline.artifacts.kinds import Artifact
from r1_pipeline.artifacts.manifest import ARTIFACTS, MANIFEST, STAGING, read_manifest
from r1_pipeline.errors import GateFailedError
from r1_pipeline.records import Record

DAY = 86_400.0


class PruneCandidate(Record):
    """An artifact that may be removed."""

    path: Path
    name: str
    bytes: int
    days: float
    """Days since the artifact was finished."""


def prune_candidates(settings: Settings, keep_days: float) -> list[PruneCandidate]:
    """Returns the artifacts that no kept artifact descends from and that are at least `keep_days` old, oldest first.

    Changes nothing.
    """
    folders = [path.parent for path in (settings.home / ARTIFACTS).glob(f"*/**/{MANIFEST}")]
    present = {folder: Artifact(folder, read_manifest(folder)) for folder in folders}
    champions = set(champion_fingerprints(settings))
    selected = {*_kept_by_themselves(settings, keep_days), *(path for path in present if path.name in champions)}

    def sources(artifact: Artifact) -> list[Artifact]:
        paths = (edge.path(settings.home) for edge in artifact.manifest.inputs.values())
        return [present[path] for path in paths if path in present]

    kept = {each.path for each in with_ancestors((present[path] for path in selected & present.keys()), sources)}
    candidates = [_entry(artifact) for path, artifact in present.items() if path not in kept]
    return sorted((entry for entry in candidates if entry.days >= keep_days), key=lambda entry: -entry.days)


def prune(settings: Settings, entries: Iterable[PruneCandidate]) -> int:
    """Removes these artifacts and returns the number of bytes freed."""
    freed = 0
    for entry in entries:
        trash = settings.home / ARTIFACTS / STAGING / f"{entry.path.name}-pruned"
        entry.path.rename(trash)  # atomic: a half-removed artifact must not look like an artifact
        shutil.rmtree(trash)
        freed += entry.bytes
    return freed


def _kept_by_themselves(settings: Settings, keep_days: float) -> Iterator[Path]:
    """Yields the paths of artifacts that are kept for their own sake, not only as upstream of others."""
    gates, since = blocking_checks(settings.load().graph), time.time() - keep_days * DAY
    with read_only_instance(settings) as instance:
        for key in instance.all_asset_keys():
            for partition in instance.get_materialized_partitions(key) or (None,):
                yield from _recent_versions(settings, instance, key, partition, since)
                try:
                    good = latest_good_record(instance, key, partition, gates.get(key, frozenset()))
                except GateFailedError:
                    continue
                if good.asset_materialization and ADDRESS in good.asset_materialization.metadata:
                    yield settings.home / address_of(good)


def _recent_versions(
    settings: Settings, instance: DagsterInstance, key: AssetKey, partition: str | None, since: float
) -> Iterator[Path]:
    """Yields the newest version of a partition for each profile and seed, and every version made since the time
    `since`.
    """
    records_filter, seen = AssetRecordsFilter(asset_key=key, asset_partitions=[partition] if partition else None), set()
    for record in instance.fetch_materializations(records_filter, limit=1000).records:
        facts = record.asset_materialization.metadata if record.asset_materialization else {}
        profile_and_seed = tuple(str(facts[name].value) if name in facts else None for name in (PROFILE, SEED))
        if ADDRESS in facts and (profile_and_seed not in seen or record.timestamp >= since):
            yield settings.home / str(facts[ADDRESS].value)
        seen.add(profile_and_seed)


def _entry(artifact: Artifact) -> PruneCandidate:
    size = sum(file.bytes for file in artifact.manifest.files)
    age = time.time() - (artifact.path / MANIFEST).stat().st_mtime
    return PruneCandidate(path=artifact.path, name=artifact.name, bytes=size, days=age / DAY)
