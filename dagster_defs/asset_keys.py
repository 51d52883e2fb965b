"""Converts node names of the graph to Dagster's asset keys and back."""

from dagster import AssetKey


def asset_key(node: str) -> AssetKey:
    """Returns the asset key of a node."""
    return AssetKey(node.split("/"))


def node_name(key: AssetKey) -> str:
    """Returns the node that an asset key stands for."""
    return "/".join(key.path)
