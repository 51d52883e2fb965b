"""The integrity checks compare artifacts with their manifests, and the manifests with each other.

Bytes are hashed again; fingerprints and digests are recomputed; every edge must lead to an artifact whose content and
whose manifest, byte for byte, are those that were read. A manifest that was rewritten to fit edited files contradicts
everything that was made from it. That of an artifact from which nothing was made has no such witness: compare its
sha256, which every audit prints, with the one that was published. Not covered: the content of the rows (`rows`).
"""

from collections.abc import Iterable, Iterator

from r1_pipeline.artifacts.kinds import Artifact
from r1_pipeline.artifacts.manifest import MANIFEST, InputRef, content_digest, file_faults, sha256_of
from r1_pipeline.errors import ArtifactError
from r1_pipeline.lineage.library import Library, address_of
from r1_pipeline.recipe import fingerprint
from r1_pipeline.records import Record

NAMED = 20
"""The maximum number of rows that one check names; the others are counted."""


class Finding(Record):
    """A contradiction that an audit found."""

    artifact: str
    """The artifact, `NAME@FINGERPRINT`, shortened."""
    where: str
    """The file, row or edge."""
    what: str


def finding(artifact: Artifact, where: str, what: str) -> Finding:
    """Returns a finding about `artifact`."""
    return Finding(artifact=short_name(artifact), where=where, what=what)


def named_findings(of: Artifact, ids: Iterable[str], what: str, noun: str = "row") -> Iterator[Finding]:
    """Yields a finding for each of the first `NAMED` ids, and the number of the others."""
    more = 0
    for number, each in enumerate(ids):
        if number < NAMED:
            yield finding(of, f"{noun} {each}", what)
        else:
            more += 1
    if more:
        yield finding(of, f"{noun}s", f"{more} more: {what}")


def short_name(artifact: Artifact) -> str:
    """Returns `NAME@FINGERPRINT` with 12 digits, as `Library.find` accepts it."""
    return f"{artifact.name}@{artifact.path.name[:12]}"


def check_files(artifact: Artifact) -> Iterator[Finding]:
    """Yields every file that differs from the manifest, is missing, or is not in it."""
    try:
        for path, fault in file_faults(artifact.path, artifact.manifest):
            yield finding(artifact, path, fault)
    except ArtifactError as error:
        yield finding(artifact, str(artifact.path), str(error))


def check_manifest(artifact: Artifact, library: Library) -> Iterator[Finding]:
    """Yields every statement of the manifest that another statement or its path contradicts."""
    manifest = artifact.manifest
    payload = manifest.payload
    if manifest.seal is None:
        yield finding(artifact, MANIFEST, "has no checksum; run the graph again with this version")
    computed = {
        "kind, name, fingerprint": (
            (manifest.kind, manifest.name, manifest.fingerprint),
            address_of(artifact.path, library.root),
        ),
        "fingerprint": (manifest.fingerprint, fingerprint(payload)),
        "digest": (manifest.digest, content_digest(manifest.files)),
        "stage": ([manifest.stage, manifest.stage_version], [payload.get("stage"), payload.get("version")]),
        "inputs": ({edge: ref.digest for edge, ref in manifest.inputs.items()}, payload.get("inputs")),
    }
    for what, (stated, found) in computed.items():
        if stated != found:
            yield finding(artifact, MANIFEST, f"says {what} {_brief(stated)}; recomputed {_brief(found)}")


def check_chain(artifact: Artifact, library: Library) -> Iterator[Finding]:
    """Yields every edge, up- or downstream, whose ends contradict each other."""
    for edge, reference, source in library.edges(artifact):
        if source is None:
            address = (reference.kind, reference.name, reference.fingerprint)
            why = library.unreadable.get(address, f"is not under {library.root}")
            yield finding(artifact, f"input {edge}", f"{reference.name}@{reference.fingerprint[:12]}: {why}")
        elif what := _broken(reference, source):
            yield finding(artifact, f"input {edge}", f"was made from another {short_name(source)}: {what}")
    for reader, reference in library.downstream(artifact):
        if what := _broken(reference, artifact):
            yield finding(artifact, MANIFEST, f"is not what {short_name(reader)} was made from: {what}")


def _broken(reference: InputRef, source: Artifact) -> str | None:
    if reference.digest != source.digest:
        return f"content {reference.digest[:12]} was read, {source.digest[:12]} is there"
    if reference.manifest is None:
        return "the manifest that was read is not recorded; run the graph again with this version"
    present = sha256_of(source.path / MANIFEST)
    if reference.manifest != present:
        return f"manifest {reference.manifest[:12]} was read, {present[:12]} is there"
    return None


def _brief(value: object) -> str:
    text = str(value)
    return text if len(text) <= 100 else f"{text[:100]}…"
