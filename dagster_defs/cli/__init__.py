"""The command `r1`. Every error is one line on the terminal and a non-zero exit."""

import signal
import sys

from typer.exceptions import TyperException

from dagster_defs.cli import asking, judging, making, operating
from dagster_defs.cli.common import app, fail, quiet
from r1_pipeline.errors import R1Error

__all__ = ["app", "asking", "judging", "main", "making", "operating"]

for _command in app.registered_commands:  # the list of commands would cut them off
    assert _command.callback is not None
    _command.short_help = (_command.callback.__doc__ or "").partition("\n\n")[0].strip()

INTERRUPTED = 130
"""What shells report of a process that SIGINT ended."""


def main() -> None:
    """Entry point: turns our errors, mistakes in the command, and files that cannot be used into one line."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    quiet()
    try:
        code = app(args=sys.argv[1:] or ["--help"], standalone_mode=False)
    except R1Error as error:
        fail(str(error))
    except TyperException as error:
        fail(f"{error.format_message()} (see --help)", error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has closed it
        raise SystemExit(1) from None
    except OSError as error:
        if error.filename is None:
            raise
        fail(f"{error.filename}: {error.strerror}; name another path, or make this one usable")
    if code == INTERRUPTED:
        fail("interrupted", code)
    raise SystemExit(code or 0)
