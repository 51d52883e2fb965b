"""Dagster's keys of nodes, and back: the one place where both spellings meet."""

from dagster import AssetKey


def asset_key(node: str) -> AssetKey:
    """Dagster's key of a node."""
    return AssetKey(node.split("/"))


def node_name(key: AssetKey) -> str:
    """The node of one of Dagster's keys."""
    return "/".join(key.path)
