"""The private Dagster APIs that this package uses, imported here alone and checked with dagster 1.13.27.

AssetGraphView            identifies an automation tick, so that its states are computed once
AssetKeyPartitionKey      the only type that a subset of partitions can be built from
BaseAssetGraph            the type of the graph that a sensor receives
AssetCheckExecutionRecordStatus, DATA_VERSION_TAG, extract_data_version_from_entry
                          the event log's records of checks and versions, which no public API reads
DagsterGrpcClient         tells the code server to reload the code
web_application           Dagster's web application, so that the auth middleware can wrap it
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dagster import DagsterInstance
from dagster._core.asset_graph_view.asset_graph_view import AssetGraphView
from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph
from dagster._core.definitions.data_version import DATA_VERSION_TAG, extract_data_version_from_entry
from dagster._core.definitions.events import AssetKeyPartitionKey
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._grpc.client import DagsterGrpcClient

if TYPE_CHECKING:
    from starlette.applications import Starlette

__all__ = [
    "DATA_VERSION_TAG",
    "AssetCheckExecutionRecordStatus",
    "AssetGraphView",
    "AssetKeyPartitionKey",
    "BaseAssetGraph",
    "DagsterGrpcClient",
    "extract_data_version_from_entry",
    "web_application",
]


@contextmanager
def web_application(instance: DagsterInstance, workspace: str) -> "Iterator[Starlette]":
    """Yields Dagster's web application over the code locations of the file `workspace`; imported on first use, as it is
    slow.
    """
    from dagster._core.workspace.context import WorkspaceProcessContext
    from dagster._core.workspace.load_target import WorkspaceFileTarget
    from dagster_webserver.app import create_app_from_workspace_process_context

    with WorkspaceProcessContext(instance, WorkspaceFileTarget(paths=[workspace])) as context:
        yield create_app_from_workspace_process_context(context)
