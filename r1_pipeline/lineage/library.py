"""A `Library` is all artifacts of a folder and the edges between them, for auditors without Dagster and MLflow.

The folder is a home, its `artifacts` directory, or a copy of that. Only manifests are read, and nothing is verified
(`audit` does that). Not covered: which version a graph would use now (`r1 status` reports it).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from r1_pipeline.artifacts.ancestry import with_ancestors
from r1_pipeline.artifacts.kinds import Artifact, peek_artifact
from r1_pipeline.artifacts.manifest import ARTIFACTS, InputRef
from r1_pipeline.errors import ArtifactError, UnknownNameError

Address = tuple[str, str, str]
"""Kind, name and fingerprint: the path of an artifact below the folder."""
HASHED_NAME = 64
"""The number of hex digits of a fingerprint."""


class Edge(NamedTuple):
    """An input of an artifact."""

    name: str
    reference: InputRef
    """The reference as the artifact recorded it."""
    source: Artifact | None
    """The artifact that is there now; None if there is none."""


@dataclass(frozen=True)
class Library:
    """The artifacts of one folder by address; `unreadable` has the directories whose manifest cannot be read, with the
    reason."""

    root: Path
    artifacts: dict[Address, Artifact]
    unreadable: dict[Address, str]

    @classmethod
    def of(cls, folder: Path) -> "Library":
        """Opens everything under `folder`; raises `ArtifactError` if there is no artifact."""
        root = folder / ARTIFACTS if (folder / ARTIFACTS).is_dir() else folder
        artifacts, unreadable = {}, {}
        for path in sorted(_directories(root)):
            address = address_of(path, root)
            try:
                artifacts[address] = peek_artifact(path)
            except ArtifactError as error:
                unreadable[address] = str(error)
        if not artifacts and not unreadable:
            raise ArtifactError(f"no artifacts under {root}; name a home, or a folder of artifacts, with --home")
        return cls(root, artifacts, unreadable)

    def find(self, name: str) -> Artifact:
        """Returns the newest artifact `NAME`, or the one whose fingerprint begins as in `NAME@FINGERPRINT`.

        Raises `UnknownNameError` with the names that exist, `ArtifactError` if only unreadable ones have this name.
        """
        asset, _, fp = name.partition("@")

        def matches(address: Address) -> bool:
            return address[1] == asset and address[2].startswith(fp)

        found = [artifact for address, artifact in self.artifacts.items() if matches(address)]
        if not found:
            for address, reason in self.unreadable.items():
                if matches(address):
                    raise ArtifactError(reason)
            raise UnknownNameError("artifact", name, sorted({known for _, known, _ in self.artifacts}))
        return max(found, key=_age)

    def at(self, reference: InputRef) -> Artifact | None:
        """Returns the artifact that a reference names; None if it is not there."""
        return self.artifacts.get((reference.kind, reference.name, reference.fingerprint))

    def newest(self, kind: type[Artifact]) -> list[Artifact]:
        """Returns the newest artifact of every name of this kind."""
        by_name: dict[str, Artifact] = {}
        for artifact in sorted(self.of_kind(kind), key=_age):
            by_name[artifact.name] = artifact
        return list(by_name.values())

    def of_kind(self, *kinds: type[Artifact]) -> list[Artifact]:
        """Returns all artifacts of these kinds, all versions."""
        return [artifact for artifact in self.artifacts.values() if isinstance(artifact, kinds)]

    def edges(self, artifact: Artifact) -> list[Edge]:
        """Returns the inputs of `artifact`, as its manifest lists them."""
        inputs = artifact.manifest.inputs.items()
        return [Edge(name, ref, self.at(ref)) for name, ref in inputs]

    def sources(self, artifact: Artifact, follow: Callable[[str], bool] = lambda _: True) -> list[Artifact]:
        """Returns the inputs of `artifact` on edges whose names `follow` accepts; missing ones are left out."""
        return [edge.source for edge in self.edges(artifact) if edge.source and follow(edge.name)]

    def upstream(self, *artifacts: Artifact) -> list[Artifact]:
        """Returns `artifacts` and all their ancestors, each once, nearest first; missing ones are left out."""
        return list(with_ancestors(artifacts, self.sources))

    def downstream(self, artifact: Artifact) -> list[tuple[Artifact, InputRef]]:
        """Returns the artifacts that read `artifact`, with the edge as they recorded it."""
        return self._readers.get(_pointer(artifact), [])

    @cached_property
    def _readers(self) -> dict[Address, list[tuple[Artifact, InputRef]]]:
        readers: dict[Address, list[tuple[Artifact, InputRef]]] = {}
        for artifact in self.artifacts.values():
            for edge in artifact.manifest.inputs.values():
                readers.setdefault((edge.kind, edge.name, edge.fingerprint), []).append((artifact, edge))
        return readers


def address_of(path: Path, root: Path) -> Address:
    """Returns the address of the artifact at `path`, relative to `root`."""
    kind, *name, fp = path.relative_to(root).parts
    return kind, "/".join(name), fp


def root_of(path: Path) -> Path:
    """Returns the folder of artifacts that contains the artifact at `path`, by the name that its manifest gives it."""
    return path.parents[1 + len(Path(peek_artifact(path).name).parts)]


def _directories(root: Path) -> Iterator[Path]:
    """Yields directories named like a fingerprint, at least two levels down, also those that have lost their
    manifest."""
    for path in root.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
        if len(path.name) == HASHED_NAME and not hidden and path.is_dir() and len(path.relative_to(root).parts) > 2:
            yield path


def _age(artifact: Artifact) -> str:
    return artifact.manifest.provenance.started


def _pointer(artifact: Artifact) -> Address:
    manifest = artifact.manifest
    return manifest.kind, manifest.name, manifest.fingerprint
