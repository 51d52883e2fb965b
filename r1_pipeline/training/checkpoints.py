"""Training checkpoints carry checksums, which make an interrupted training run safe to resume.

The Trainer writes `checkpoint-N` in place, file by file, and loads half-written, bit-flipped or partly missing ones
without an error. So each finished checkpoint gets a `seal.json`, a list of its files with their sha256, written as its
last file by an atomic rename. A checkpoint is resumed only if the checksums match every byte; the newest such one is
used, and broken ones are removed with a note. If a valid checkpoint was written by another layout of ranks, the run
stops instead. Not covered: finished artifacts (`r1_pipeline.artifacts`).
"""

import shutil
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path

from r1_pipeline.artifacts.atomic_write import sync
from r1_pipeline.artifacts.manifest import FileEntry, list_files
from r1_pipeline.errors import CorruptArtifactError, LaunchError
from r1_pipeline.records import Record

CHECKSUMS = "seal.json"
KEPT = 2
SINGLE_RANK = "ddp on 1 rank(s)"
REQUIRED = (
    ("*model*.safetensors", "pytorch_model_fsdp_0/*.distcp", "global_step*/*model_states.pt"),
    ("optimizer.pt", "optimizer_0/*.distcp", "global_step*/*optim_states.pt"),
    ("scheduler.pt", "global_step*/*model_states.pt"),  # DeepSpeed keeps the schedule with the model
    ("rng_state*.pth",),
    ("trainer_state.json",),
)
"""File patterns, at least one of each group required, by the Trainer, FSDP2 and DeepSpeed; without them a resumed run
would end elsewhere."""


class Checksums(Record):
    """The checksums of a checkpoint, its last file."""

    step: int
    files: tuple[FileEntry, ...]
    layout: str = SINGLE_RANK
    """The layout in which the checkpoint is sharded (`training.sharding`)."""


def write_checksums(checkpoint: Path, layout: str = SINGLE_RANK) -> None:
    """Syncs every file of a finished checkpoint, then writes its checksums."""
    files = list_files(checkpoint)
    for entry in files:
        sync(checkpoint / entry.path)
    temporary = checkpoint.with_name(f".{checkpoint.name}.{CHECKSUMS}")
    temporary.write_text(
        Checksums(step=step_of(checkpoint), files=files, layout=layout).model_dump_json(indent=1), encoding="utf-8"
    )
    sync(temporary)
    temporary.replace(checkpoint / CHECKSUMS)
    sync(checkpoint)


def verify(checkpoint: Path) -> Checksums:
    """Returns the checksums of a valid checkpoint.

    Raises `CorruptArtifactError` with the first file that is missing, changed, or without a checksum.
    """
    path = checkpoint / CHECKSUMS
    try:
        stored = Checksums.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise CorruptArtifactError(f"{checkpoint} has no {CHECKSUMS}: it was not finished") from None
    except ValueError as error:
        raise CorruptArtifactError(f"{path} is damaged: {error}") from error
    found = {entry.path: entry for entry in list_files(checkpoint) if entry.path != CHECKSUMS}
    for entry in stored.files:
        actual = found.pop(entry.path, None)
        if actual is None:
            raise CorruptArtifactError(f"{checkpoint / entry.path} is missing")
        if actual != entry:
            raise CorruptArtifactError(
                f"{checkpoint / entry.path} has changed: sha256 {actual.sha256[:12]}, expected {entry.sha256[:12]}"
            )
    if found:
        raise CorruptArtifactError(f"{checkpoint / min(found)} has no checksum")
    for patterns in REQUIRED:
        if not any(fnmatch(entry.path, pattern) for entry in stored.files for pattern in patterns):
            raise CorruptArtifactError(f"{checkpoint} was finished without {patterns[0]}")
    if stored.step != step_of(checkpoint):
        raise CorruptArtifactError(f"{checkpoint} is step {stored.step} by its checksums")
    return stored


def newest_valid_checkpoint(scratch: Path, layout: str, note: Callable[[str], None]) -> Path | None:
    """Returns the checkpoint to resume from, None for a fresh start; broken newer ones are noted and removed.

    They are removed because the run will reach their step again, and must not find their files there. Raises
    `LaunchError` for a valid one of another layout.
    """
    for checkpoint in reversed(_checkpoints(scratch)):
        try:
            found = verify(checkpoint).layout
        except CorruptArtifactError as error:
            note(f"checkpoint rejected: {error}; using the previous one")
            shutil.rmtree(checkpoint)
            continue
        if found != layout:
            raise LaunchError(
                f"{checkpoint} was written by {found}, this run is {layout}; resume with the launcher that it began "
                f"with, or remove {scratch} to begin again"
            )
        return checkpoint
    return None


def prune(scratch: Path) -> None:
    """Removes all but the newest checkpoints, by step: modification times are wrong after a copy or a clock change."""
    for checkpoint in _checkpoints(scratch)[:-KEPT]:
        shutil.rmtree(checkpoint)


def step_of(checkpoint: Path) -> int:
    """Returns the number of optimizer steps before `checkpoint-N`."""
    return int(checkpoint.name.removeprefix("checkpoint-"))


def _checkpoints(scratch: Path) -> list[Path]:
    found = (p for p in scratch.glob("checkpoint-*") if p.is_dir() and p.name.removeprefix("checkpoint-").isdigit())
    return sorted(found, key=step_of)
