"""The complete command `r1`: the library's commands and those that need Dagster, which name the missing package."""

from importlib.util import find_spec

from dagster_defs.cli import admin_commands, run_commands
from dagster_defs.cli.orchestrator import DagsterOrchestrator
from r1_pipeline import cli
from r1_pipeline.cli import app
from r1_pipeline.cli.orchestrator import Orchestrator

__all__ = ["admin_commands", "app", "main", "run_commands"]

ORDER = (
    *("init", "plan", "run", "status", "ui"),
    *("report", "chat", "trace", "rollouts", "evaluate", "benchmarks", "lab", "cost"),
    *("audit", "export", "grade", "regrade", "agree", "compare", "suspects", "screen"),
    *("promote", "rollback", "prune", "migrate"),
)
"""Order of the commands in `r1 --help`: set up and run, look, check and hand on, look after a home."""

app.registered_commands.sort(key=lambda command: ORDER.index(command.callback.__name__ if command.callback else ""))


def main() -> None:
    """Runs the command line `r1`, with Dagster's records where Dagster is installed."""
    cli.main(DagsterOrchestrator() if find_spec("dagster") else Orchestrator())
