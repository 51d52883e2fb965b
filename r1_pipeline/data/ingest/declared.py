"""A user declares sources in a TOML file; this module reads it, finds the files and hashes them.

    builtin = ["code", "stem", "logic", "general", "preference"]   # the built-in problems that stay

    [[source]]
    name = "my_maths"
    path = "train.jsonl"                  # a file, or a folder with files = ["*.parquet"], relative to this file
    mapping = "gsm8k"                     # one that ships with the project, or a .toml file
    licence = "MIT"                       # SPDX expression
    origin = "https://github.com/openai/grade-school-math"
    side = "split"                        # or train, or heldout

A Hugging Face data set has `hub`, `revision` (a commit, nothing that can move) and the exact names of its `files` in
place of `path`. A `SourceRecipe` has what enters fingerprints: names, mapping and the digest of every file, no paths.
Not covered: the rows (`ingest`), the built-in problems (`sources`).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, Self

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
from pydantic import AfterValidator, Field, TypeAdapter, model_validator

from r1_pipeline.artifacts.manifest import sha256_of
from r1_pipeline.data.ingest.mapping import AnyMapping, PairMapping, load_mapping, parse_toml
from r1_pipeline.data.ingest.reserved import require_no_hub_files
from r1_pipeline.data.sources import SOURCE_NAMES, SourceName
from r1_pipeline.errors import RecipeError, SourceError
from r1_pipeline.recipe import AddedField, Recipe, fingerprint
from r1_pipeline.records import Record

Side = Literal["train", "heldout", "split"]
_COMMIT = re.compile("[0-9a-f]{40}")
_GLOB = re.compile(r"[*?\[]")


class SourceFile(Recipe):
    """A file of a source."""

    name: str
    """The path relative to the source's folder, with forward slashes."""
    sha256: str


class Pin(Recipe):
    """The content that a published source must have, whatever file format it comes in."""

    digest: str
    """The digest of the problems that its mapping makes (`digest_of_problems`)."""
    problems: int
    """The number of problems that are left when repeated ones and those with an unsound reference are dropped."""


class SourceRecipe(Recipe):
    """The complete description of a user's source: its files and the meaning of its rows."""

    name: str
    licence: str
    """The licence, a canonical SPDX expression."""
    origin: str
    """The place of publication, for people."""
    side: Side
    """The side that its rows are on: training, held-out, or either by a hash of the fact."""
    mapping: AnyMapping
    files: tuple[SourceFile, ...]
    pin: Annotated[Pin | None, AddedField()] = None
    """The content that a benchmark must have; other content is refused."""
    canary: Annotated[str | None, AddedField()] = None
    """The string in a benchmark's data by which it is recognized; rows of other sets that hold it are dropped."""

    @property
    def feeds(self) -> str:
        """The domain of its problems, or `preference`."""
        return "preference" if isinstance(self.mapping, PairMapping) else self.mapping.domain

    @property
    def digest(self) -> str:
        """The sha256 over names and contents of its files: the data version."""
        return fingerprint(sorted([file.name, file.sha256] for file in self.files))


@dataclass(frozen=True)
class Declared:
    """A sources file whose sources were found on this machine."""

    builtin: tuple[SourceName, ...]
    recipes: tuple[SourceRecipe, ...]
    folders: Mapping[str, str]
    """The directory with the files of each source."""


def canonical_licence(licence: str) -> str:
    """Returns an SPDX expression in its canonical form; raises `ValueError` for anything else."""
    try:
        return canonicalize_license_expression(licence)
    except InvalidLicenseExpression as error:
        raise ValueError(f"{error}; give an SPDX expression (spdx.org/licenses) or LicenseRef-NAME") from error


class _Entry(Record):
    """A `[[source]]` table of the file."""

    name: str = Field(pattern="^[a-z][a-z0-9_]*$")
    licence: Annotated[str, AfterValidator(canonical_licence)]
    origin: str = Field(min_length=1)
    side: Side
    mapping: str | AnyMapping
    path: str | None = None
    hub: str | None = None
    revision: str | None = None
    files: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _is_in_one_place(self) -> Self:
        if (self.path is None) == (self.hub is None):
            raise ValueError(f"{self.name} needs path, or hub with revision and files")
        if self.hub is None and self.revision is not None:
            raise ValueError(f"{self.name} has a revision and no hub; a path has none")
        if self.hub is not None and not _COMMIT.fullmatch(self.revision or ""):
            raise ValueError(f"{self.name} has revision {self.revision!r}, which can move; pin a commit, 40 hex digits")
        if self.hub is not None and (not self.files or any(map(_GLOB.search, self.files))):
            raise ValueError(f"{self.name} must name every file of {self.hub} that it takes, without wildcards")
        return self


class _File(Record):
    """The content of a sources file."""

    builtin: tuple[SourceName, ...]
    source: tuple[_Entry, ...]

    @model_validator(mode="after")
    def _tells_sources_apart(self) -> Self:
        names = [*SOURCE_NAMES, *(entry.name for entry in self.source)]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"two sources are called {min(twice)}; rename one")
        return self


def read_sources(path: Path) -> Declared:
    """Reads the sources file at `path`, finds its data (a data set of the Hub is fetched) and hashes them.

    Raises `RecipeError`, `UnknownNameError` or `SourceError`, each with the name of the file or source.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"the sources file {path} cannot be read: {error}; check --sources") from error
    file = parse_toml(text, str(path), TypeAdapter(_File))
    recipes, folders = [], {}
    for entry in file.source:
        if entry.hub:
            if entry.side != "heldout":
                require_no_hub_files(entry.name, entry.hub, entry.files)
            folder = fetch_from_hub(entry.name, entry.hub, str(entry.revision), entry.files)
            names = list(entry.files)
        else:
            folder, names = _find(entry, path.parent)
        folders[entry.name] = str(folder)
        recipes.append(
            SourceRecipe(
                name=entry.name,
                licence=entry.licence,
                origin=entry.origin,
                side=entry.side,
                mapping=load_mapping(entry.mapping, path.parent) if isinstance(entry.mapping, str) else entry.mapping,
                files=hash_files(folder, names),
            )
        )
    declared = Declared(file.builtin, tuple(recipes), folders)
    fed = {*declared.builtin, *(recipe.feeds for recipe in recipes)}
    for name in ("general", "preference"):
        if name not in fed:
            raise RecipeError(f"{path}: no source has {name!r} rows, which the graph needs; add {name!r} to builtin")
    return declared


def hash_files(folder: Path, names: Iterable[str]) -> tuple[SourceFile, ...]:
    """Returns the files with their current hashes; a file is hashed again when its size or time has changed."""
    return tuple(SourceFile(name=name, sha256=_sha256(folder / name)) for name in sorted(names))


def _sha256(path: Path) -> str:
    try:
        facts = path.stat()
        return _sha256_once(path, facts.st_size, facts.st_mtime_ns, facts.st_ino)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error}; check the sources file") from error


@lru_cache(maxsize=4096)
def _sha256_once(path: Path, *_: int) -> str:
    return sha256_of(path)


def _find(entry: _Entry, base: Path) -> tuple[Path, list[str]]:
    """Returns the folder and the names of the files of a local source."""
    path = (base / str(entry.path)).resolve()
    if path.is_file():
        if entry.files:
            raise RecipeError(f"source {entry.name}: {path} is a file; leave out files")
        return path.parent, [path.name]
    if not path.is_dir():
        raise SourceError(f"source {entry.name}: {path} does not exist; give its path from {base}")
    if not entry.files:
        raise RecipeError(f'source {entry.name}: {path} is a folder; say which files, e.g. files = ["*.jsonl"]')
    found = {pattern: [p for p in path.glob(pattern) if p.is_file()] for pattern in entry.files}
    if missing := [pattern for pattern, paths in found.items() if not paths]:
        raise SourceError(
            f"source {entry.name}: {missing[0]!r} finds nothing in {path}; correct files in the sources file"
        )
    return path, list({p.relative_to(path).as_posix() for paths in found.values() for p in paths})


def fetch_from_hub(name: str, hub: str, revision: str, files: Iterable[str]) -> Path:
    """Returns the folder of the files of a data set of the Hugging Face Hub; cached files are not fetched again.

    Raises `SourceError` with the source `name` for a file that is neither cached nor to be had.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    folder = Path()
    for file in files:
        try:
            found = Path(hf_hub_download(hub, file, repo_type="dataset", revision=revision))
        except (HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled, OSError) as error:
            raise SourceError(
                f"source {name}: {file} of {hub}@{revision[:12]} is not in the cache and cannot "
                f"be fetched ({type(error).__name__}); run `r1 run` once with a network, or give a local path"
            ) from error
        folder = found.parents[len(PurePosixPath(file).parts) - 1]
    return folder
