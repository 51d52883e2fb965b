"""The newest version of an artifact that passed its gates, by its name."""

from pathlib import Path

from dagster_defs.history import history
from dagster_defs.io import address_of, blocking_checks, latest_good
from dagster_defs.keys import asset_key
from dagster_defs.settings import Settings
from r1_pipeline.artifacts.kinds import Checkpoint
from r1_pipeline.errors import UnknownNameError
from r1_pipeline.graph.bound import Bound
from r1_pipeline.graph.node import AssetName


def newest_good(settings: Settings, bound: Bound, name: AssetName) -> Path:
    """Folder of the newest good version; raises `GateFailedError` where none passed its gates."""
    key = asset_key(name.asset)
    gates = blocking_checks(bound.graph).get(key, frozenset())
    with history(settings) as instance:
        return settings.home / address_of(latest_good(instance, key, name.partition, gates))


def newest_model(settings: Settings, model: str) -> Checkpoint:
    """The newest good version of a checkpoint of the graph; raises `UnknownNameError` with the models there are."""
    bound = settings.load().bound
    valid = {str(name): name for name in bound.checkpoints}
    if model not in valid:
        raise UnknownNameError("model", model, valid)
    return Checkpoint.open(newest_good(settings, bound, valid[model]))
