"""The command `r1`. Every error is one line on the terminal and a non-zero exit."""

import signal

from dagster_defs.cli import asking, judging, making, operating
from dagster_defs.cli.common import app, fail
from r1_pipeline.errors import R1Error

__all__ = ["app", "asking", "judging", "main", "making", "operating"]


def main() -> None:
    """Entry point: turns our errors into one line."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        app()
    except R1Error as error:
        fail(str(error))
