"""Looks up the newest version of an artifact that passed its gates, by name."""

from pathlib import Path

from dagster_defs.asset_keys import asset_key
from dagster_defs.instance import read_only_instance
from dagster_defs.io_manager import address_of, blocking_checks, latest_good_record
from dagster_defs.settings import Settings
from r1_pipeline.graph.bound import Bound
from r1_pipeline.graph.node import AssetName


def latest_good_version(settings: Settings, bound: Bound, name: AssetName) -> Path:
    """Returns the directory of the newest good version; raises `GateFailedError` if no version passed its gates."""
    key = asset_key(name.asset)
    gates = blocking_checks(bound.graph).get(key, frozenset())
    with read_only_instance(settings) as instance:
        return settings.home / address_of(latest_good_record(instance, key, name.partition, gates))
