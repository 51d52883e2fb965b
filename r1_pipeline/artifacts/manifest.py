"""Manifests: the `manifest.json` of an artifact, written last, so that its existence means completeness.

There are two digests. The *fingerprint* hashes what was requested (stage, version, recipe, engine, verifiers, content
digests of the inputs) and is the address. The *content digest* hashes the result and is the data version that
downstream stages see. Files under `logs/` and `card/` are verified like all others but are not part of the content
digest, because they hold times and descriptions.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from r1_pipeline.artifacts.provenance import Provenance
from r1_pipeline.errors import ArtifactError, CorruptArtifactError, SchemaVersionError
from r1_pipeline.recipe import fingerprint
from r1_pipeline.records import Record

SCHEMA = 1
MARKER = "home.json"
"""File that marks a folder as a home; it names the schema version."""
MANIFEST = "manifest.json"
ARTIFACTS = "artifacts"
"""Folder of a home that holds all artifacts."""
STAGING = ".staging"
"""Folder next to the artifacts in which an artifact is written until it is complete."""
HASHED_AT_ONCE = 8
LOGS = "logs"
CARD = "card"


def check_marker(home: Path) -> None:
    """Checks the schema version of `home`; raises `CorruptArtifactError` or `SchemaVersionError`."""
    marker = home / MARKER
    try:
        found = json.loads(marker.read_bytes())["schema"]
    except (ValueError, TypeError, KeyError) as error:
        raise CorruptArtifactError(f"{marker} is damaged; it should read {json.dumps({'schema': SCHEMA})}") from error
    if found != SCHEMA:
        raise SchemaVersionError(
            f"{home} was made by schema {found!r}, this software uses {SCHEMA}; choose another --home, "
            "or use the version that made it"
        )


class FileEntry(Record):
    """The path, size and digest of one file of an artifact."""

    path: str
    """Path relative to the artifact, with forward slashes."""
    bytes: int
    sha256: str


class InputRef(Record):
    """A reference to an input artifact, as it was read."""

    kind: str
    name: str
    fingerprint: str
    digest: str
    manifest: str | None = None
    """Hash (sha256) of the input's manifest, which chains manifests; None only in manifests older than this field."""

    def path(self, home: Path) -> Path:
        """Returns the folder of the artifact in a home."""
        return address(home / ARTIFACTS, self.kind, self.name, self.fingerprint)


class Manifest(Record):
    """The complete description of an artifact; `payload` is the hashed value, so that changes can be explained."""

    schema_version: int = SCHEMA
    kind: str
    name: str
    stage: str
    stage_version: int
    fingerprint: str
    payload: dict[str, Any]
    digest: str
    files: tuple[FileEntry, ...]
    inputs: dict[str, InputRef]
    statistics: dict[str, Any]
    drops: dict[str, int]
    """Reason -> number of rows dropped for it."""
    provenance: Provenance
    seal: str | None = None
    """Checksum (sha256) of all fields above as canonical JSON; None only in manifests older than this field."""


def address(root: Path, kind: str, name: str, fingerprint: str) -> Path:
    """Returns the folder of an artifact below the artifacts folder: `{kind}/{name}/{fingerprint}`."""
    return root / kind / name / fingerprint


def folders_of(home: Path, kind: str, name: str) -> list[Path]:
    """Returns the folders of all versions of an artifact in a home, newest first."""
    every = [manifest.parent for manifest in address(home / ARTIFACTS, kind, name, "*").parent.glob(f"*/{MANIFEST}")]
    return sorted(every, key=lambda folder: folder.stat().st_mtime, reverse=True)


def sha256_of(path: Path) -> str:
    """Hashes a file's bytes with sha256; returns 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def list_files(directory: Path) -> tuple[FileEntry, ...]:
    """Lists every file below `directory` except the manifest, sorted by path; raises for symbolic links.

    Several files are hashed at once: a checkpoint of a sharded run has a file of some gigabytes for each rank.
    """
    paths = sorted(directory.rglob("*"))
    if link := next((path for path in paths if path.is_symlink()), None):
        raise ArtifactError(f"{link} is a symbolic link; artifacts hold plain files only")
    files = [path for path in paths if path.is_file() and path != directory / MANIFEST]
    with ThreadPoolExecutor(HASHED_AT_ONCE) as pool:
        hashes = pool.map(sha256_of, files)
    named = ((path.relative_to(directory).as_posix(), path, sha256) for path, sha256 in zip(files, hashes, strict=True))
    return tuple(FileEntry(path=name, bytes=path.stat().st_size, sha256=sha256) for name, path, sha256 in named)


def content_digest(files: Iterable[FileEntry]) -> str:
    """Hashes the sorted list of (path, sha256) with sha256, excluding `logs/` and `card/`."""
    excluded = (f"{LOGS}/", f"{CARD}/")
    return fingerprint(sorted([f.path, f.sha256] for f in files if not f.path.startswith(excluded)))


def seal_of(manifest: Mapping[str, Any]) -> str:
    """Computes the checksum (`seal`) of the other fields of a manifest in JSON form."""
    return fingerprint({name: value for name, value in manifest.items() if name != "seal"})


def sealed(manifest: Manifest) -> Manifest:
    """Returns `manifest` with its checksum."""
    return manifest.model_copy(update={"seal": seal_of(manifest.model_dump(mode="json"))})


def read_manifest(directory: Path) -> Manifest:
    """Reads a manifest; raises `SchemaVersionError` for another schema, `CorruptArtifactError` for a damaged file."""
    path = directory / MANIFEST
    try:
        raw: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtifactError(f"{directory} has no {MANIFEST}; it is not an artifact") from None
    except ValueError as error:
        raise CorruptArtifactError(f"{path} is not JSON ({error}); {REMEDY}") from error
    if raw.get("schema_version") != SCHEMA:
        raise SchemaVersionError(
            f"{path} has schema {raw.get('schema_version')!r}, this software reads {SCHEMA}; "
            "use the version that made it, or another --home"
        )
    if raw.get("seal") not in (None, seal_of(raw)):
        raise CorruptArtifactError(f"{path} has changed: its checksum does not match its contents; {REMEDY}")
    try:
        return Manifest.model_validate(raw)
    except ValueError as error:
        raise CorruptArtifactError(f"{path} is not a manifest ({error}); {REMEDY}") from error


REMEDY = "move the directory away and run again: it will be rebuilt"


def file_faults(directory: Path, manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Hashes every file again and yields (path, fault) for each that is missing, changed or not in the manifest."""
    found = {f.path: f for f in list_files(directory)}
    for entry in manifest.files:
        actual = found.pop(entry.path, None)
        if actual is None:
            yield entry.path, "is missing"
        elif actual.bytes != entry.bytes:
            yield entry.path, f"has changed: {actual.bytes} bytes, the manifest says {entry.bytes}"
        elif actual != entry:
            yield entry.path, f"has changed: sha256 {actual.sha256[:12]}, the manifest says {entry.sha256[:12]}"
    for path in sorted(found):
        yield path, "is not in the manifest"


def verify_files(directory: Path, manifest: Manifest) -> None:
    """Verifies all files; raises `CorruptArtifactError` with the first of `file_faults`, or for a wrong digest."""
    for path, fault in file_faults(directory, manifest):
        raise CorruptArtifactError(f"{directory / path} {fault}; {REMEDY}")
    if content_digest(manifest.files) != manifest.digest:
        raise CorruptArtifactError(f"{directory / MANIFEST} does not match its own digest; {REMEDY}")
