"""The part of the command `r1` that works without Dagster; every error becomes one line and a non-zero exit code."""

import signal
import sys

from typer.exceptions import TyperException

from r1_pipeline.cli import comparing_commands, grading_commands, init, inspect_commands, model_commands
from r1_pipeline.cli.common import app, fail, silence_warnings
from r1_pipeline.cli.orchestrator import Orchestrator
from r1_pipeline.errors import R1Error

__all__ = ["app", "comparing_commands", "grading_commands", "init", "inspect_commands", "main", "model_commands"]

INTERRUPTED = 130
"""Exit code that shells report for a process ended by SIGINT."""
EXTRAS = {
    **dict.fromkeys(("dagster", "dagster_pipes", "dagster_webserver", "mlflow", "openlineage", "psutil"), "dagster"),
    **dict.fromkeys(("accelerate", "datasets", "matplotlib", "reasoning_gym", "safetensors", "tokenizers"), "train"),
    **dict.fromkeys(("peft", "torch", "transformers", "trl"), "train"),
    **dict.fromkeys(("sqlalchemy", "starlette", "uvicorn"), "dagster"),
    "dagster_postgres": "postgres",
    "deepspeed": "deepspeed",
    "gguf": "gguf",
    "langdetect": "ifeval",
    "ray": "ray",
    "torchao": "fp8",
    "vllm": "vllm",
}
"""Extra of this package that installs each imported package."""


def main(orchestrator: Orchestrator | None = None) -> None:
    """Runs the command line and turns errors of this package, usage errors and unusable files into one line.

    `orchestrator` gives the commands what only records of runs can answer; without one, they read the home's
    directories.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    silence_warnings()
    try:
        code = app(args=sys.argv[1:] or ["--help"], standalone_mode=False, obj=orchestrator or Orchestrator())
    except R1Error as error:
        fail(str(error))
    except TyperException as error:
        fail(f"{error.format_message()} (see --help)", error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of the output has closed the pipe
        raise SystemExit(1) from None
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRAS:
            raise
        fail(f"needs {package}, which is not installed: pip install 'r1-pipeline[{EXTRAS[package]}]'")
    except OSError as error:
        if error.filename is None:
            raise
        fail(f"{error.filename}: {error.strerror}; choose another path or make this one usable")
    if code == INTERRUPTED:
        fail("interrupted", code)
    raise SystemExit(code or 0)
