"""The store, the only code that writes artifact directories: `{home}/artifacts/{kind}/{name}/{fingerprint}/`.

An artifact is written to a staging directory; its files are synced, the manifest comes last, and one rename makes it
visible. An artifact that exists is therefore complete, even after a kill at any moment. A lock per fingerprint makes a
second writer wait and reuse. `build` computes the fingerprint, then reuses the artifact or calls its maker.
"""

import errno
import fcntl
import json
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from r1_pipeline.artifacts import provenance
from r1_pipeline.artifacts.atomic_write import sync
from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.kinds import Artifact, open_artifact
from r1_pipeline.artifacts.manifest import (
    ARTIFACTS,
    LOGS,
    MANIFEST,
    MARKER,
    SCHEMA,
    STAGING,
    InputRef,
    Manifest,
    address,
    check_marker,
    content_digest,
    list_files,
    sealed,
    sha256_of,
)
from r1_pipeline.artifacts.metrics import METRICS
from r1_pipeline.artifacts.observer import Observer
from r1_pipeline.errors import OutOfDiskError
from r1_pipeline.recipe import Recipe, canonical_value, fingerprint

A = TypeVar("A", bound=Artifact)

MINIMUM_FREE_BYTES = 256 * 1024**2
"""Free disk space, bytes, below which no stage is started."""


@dataclass(frozen=True)
class Spec:
    """A request for an artifact: everything that enters the fingerprint."""

    name: str
    """Asset key, with the partition after a slash: `distilled/qwen`."""
    stage: str
    """Name of the verb."""
    version: int
    """Version of the verb, bumped by hand when a change of its code changes the result's bytes."""
    recipe: Recipe
    inputs: Mapping[str, Artifact]
    """Edge -> input artifact."""
    tool_versions: Mapping[str, str] = field(default_factory=dict)
    """Identity of the engine and versions of the verifiers that are used."""

    def payload(self) -> dict[str, Any]:
        """Returns the fingerprinted value, which has no paths, devices, worker counts, profile or artifact names."""
        payload: dict[str, Any] = canonical_value(
            {
                "stage": self.stage,
                "version": self.version,
                "recipe": self.recipe,
                "uses": dict(self.tool_versions),
                "inputs": {edge: artifact.digest for edge, artifact in self.inputs.items()},
            }
        )
        return payload


@dataclass(frozen=True)
class BuildResult:
    """A maker's statistics about the files that it wrote."""

    statistics: Mapping[str, Any] = field(default_factory=dict)
    drops: Mapping[str, int] = field(default_factory=dict)
    sandbox: Mapping[str, Any] | None = None
    """Self-test of the sandbox in which programs were run, for the provenance."""


class Store:
    """All artifacts under one home directory."""

    def __init__(self, home: Path, observer: Observer | None = None, device: str = "cpu") -> None:
        """Opens or creates `home`; raises `SchemaVersionError` if another schema version made it."""
        self.home = home
        self.observer = observer or Observer()
        self.device = device
        self.root = home / ARTIFACTS
        self._staging, self._scratch, self._locks = self.root / STAGING, home / "scratch", home / "locks"
        _check_home(home)
        for directory in (self._staging, self._scratch, self._locks):
            directory.mkdir(parents=True, exist_ok=True)
        self._sweep()

    def locate(self, kind: type[A], name: str, fp: str) -> Path:
        """Returns the address of an artifact, existing or not."""
        return address(self.root, kind.kind, name, fp)

    def find(self, kind: type[A], spec: Spec) -> A | None:
        """Returns the finished artifact of `spec`, verified, or None."""
        path = self.locate(kind, spec.name, fingerprint(spec.payload()))
        return kind.open(path) if path.exists() else None

    def build(self, kind: type[A], spec: Spec, make: Callable[[Draft], BuildResult]) -> A:
        """Reuses the artifact of `spec`, or makes it; an interrupted `make` finds its scratch folder again.

        Raises `CorruptArtifactError` if a finished artifact was changed, `OutOfDiskError` if the disk is full.
        """
        payload = spec.payload()
        fp = fingerprint(payload)
        target = self.locate(kind, spec.name, fp)
        with self._lock(fp):
            if target.exists():
                found = kind.open(target)
                self.observer.reused(found)
                return found
            self._check_disk()
            staging = self._staging / f"{fp}-{uuid.uuid4().hex[:8]}"
            draft = Draft(spec.name, staging, self._scratch / fp, self.observer)
            try:
                staging.mkdir()
                draft.scratch.mkdir(exist_ok=True)
                started, clock = datetime.now(UTC).isoformat(timespec="milliseconds"), time.monotonic()
                runs = dict(self.observer.began(spec.name, fp, payload, spec.inputs, draft.metrics))
                facts = make(draft)
                if draft.metrics.exists():
                    (staging / LOGS).mkdir(exist_ok=True)
                    shutil.copyfile(draft.metrics, staging / LOGS / METRICS)
                files = list_files(staging)
                manifest = Manifest(
                    kind=kind.kind,
                    name=spec.name,
                    stage=spec.stage,
                    stage_version=spec.version,
                    fingerprint=fp,
                    payload=payload,
                    digest=content_digest(files),
                    files=files,
                    inputs={edge: reference(artifact) for edge, artifact in spec.inputs.items()},
                    statistics=canonical_value(dict(facts.statistics)),
                    drops=dict(facts.drops),
                    provenance=provenance.capture(
                        device=self.device,
                        started=started,
                        seconds=time.monotonic() - clock,
                        runs=runs,
                        sandbox=facts.sandbox,
                    ),
                )
                _commit(staging, target, manifest)
            except BaseException as error:
                shutil.rmtree(staging, ignore_errors=True)
                self.observer.failed(spec.name, error)
                if is_disk_full(error):
                    raise OutOfDiskError(
                        errno.ENOSPC,
                        f"no space left while making {spec.name}; free some under {self.home} and run again",
                    ) from error
                raise
            made = kind.open(target)
            self.observer.finished(made)  # before scratch is removed: trackers still deliver its metrics
            shutil.rmtree(draft.scratch)
            return made

    @contextmanager
    def _lock(self, fp: str) -> Iterator[None]:
        with (self._locks / fp).open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self.observer.noted(fp[:12], "another run is making this artifact; waiting to reuse it")
                fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _sweep(self) -> None:
        """Removes staging directories whose process has ended."""
        for staging in self._staging.iterdir():
            with (self._locks / staging.name.partition("-")[0]).open("w") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                shutil.rmtree(staging, ignore_errors=True)

    def _check_disk(self) -> None:
        free = shutil.disk_usage(self.home).free
        if free < MINIMUM_FREE_BYTES:
            raise OutOfDiskError(
                errno.ENOSPC,
                f"{free // 1024**2} MiB free under {self.home}, a stage needs {MINIMUM_FREE_BYTES // 1024**2}",
            )


def reference(artifact: Artifact) -> InputRef:
    """Returns the reference to `artifact` for manifests."""
    made = artifact.manifest
    return InputRef(
        kind=made.kind,
        name=made.name,
        fingerprint=made.fingerprint,
        digest=made.digest,
        manifest=sha256_of(artifact.path / MANIFEST),
    )


def open_input(home: Path, edge: InputRef) -> Artifact:
    """Opens the artifact that a manifest refers to; raises like `Artifact.open`."""
    return open_artifact(edge.path(home))


def is_disk_full(error: BaseException) -> bool:
    """Returns True if `error` or its cause is a full disk; native writers state that only in the message."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if any(text in str(seen) for text in ("os error 28", "StorageFull", "No space left on device")):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def _check_home(home: Path) -> None:
    marker = home / MARKER
    home.mkdir(parents=True, exist_ok=True)
    if not marker.exists():
        whole = (
            home / f".home-{uuid.uuid4().hex[:8]}"
        )  # another process that opens this home now sees all of it or nothing
        whole.write_text(json.dumps({"schema": SCHEMA}) + "\n", encoding="utf-8")
        whole.replace(marker)
        return
    check_marker(home)


def _commit(staging: Path, target: Path, manifest: Manifest) -> None:
    for entry in manifest.files:
        sync(staging / entry.path)
    path = staging / MANIFEST
    path.write_text(sealed(manifest).model_dump_json(indent=1) + "\n", encoding="utf-8")
    sync(path)
    for directory in [staging, *(p for p in staging.rglob("*") if p.is_dir())]:
        sync(directory)
    target.parent.mkdir(parents=True, exist_ok=True)
    staging.rename(target)
    sync(target.parent)
