"""Runs a stage's processes under Dagster Pipes: their logs and memory go to the event log, and they end with the run.

The command is the one that runs without Dagster. Only the module of the ranks differs (`execution.rank`), so that the
first rank reports to Dagster.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from dagster import (
    AssetCheckExecutionContext,
    AssetExecutionContext,
    PipesFileContextInjector,
    PipesFileMessageReader,
    open_pipes_session,
)

from r1_pipeline.runtime.launch import run_guarded


class PipesLauncher:
    """Runs commands for the step of `context` and returns their exit code."""

    module = "dagster_defs.execution.rank"

    def __init__(self, context: AssetExecutionContext | AssetCheckExecutionContext) -> None:
        self._context = context

    def __call__(self, command: Sequence[str], folder: Path) -> int:
        context = self._context
        step = context if isinstance(context, AssetExecutionContext) else context.op_execution_context
        injector = PipesFileContextInjector(str(folder / "pipes-context.json"))
        reader = PipesFileMessageReader(str(folder / "pipes-messages.jsonl"))
        with open_pipes_session(step, injector, reader) as session:
            code = run_guarded(command, {**os.environ, **session.get_bootstrap_env_vars()})
        if isinstance(context, AssetExecutionContext):
            for metadata in session.get_custom_messages():
                context.add_asset_metadata(metadata)
        return code
