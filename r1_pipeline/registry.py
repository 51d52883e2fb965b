"""Registries of named entries, and the recipe files of users that add to them.

A `Registry` holds entries of one kind (domains, verifiers, reward parts, prompt forms, engines): those of the package,
and those that a user's recipe file adds. A recipe file is Python. It is run once in every process that computes for
its graph, and its sha256 is stored in the provenance of artifacts. `profiles.extended` applies it to the graph.
"""

import hashlib
import importlib.util
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Generic, TypeVar

from pydantic import ValidationError

from r1_pipeline.errors import RecipeError, UnknownNameError

T = TypeVar("T")
EXTEND = "extend"
"""Name of the function of a recipe file that takes the profile and returns a changed one."""


class Registry(Mapping[str, T], Generic[T]):
    """Named entries of one kind, in the order in which they were added."""

    def __init__(self, kind: str, entries: Mapping[str, T]) -> None:
        """Creates a registry; `kind` is the word for an entry in messages."""
        self.kind = kind
        self._entries = dict(entries)

    def add(self, name: str, entry: T) -> T:
        """Adds an entry and returns it; raises `RecipeError` for a name that is already taken."""
        if self._entries.get(name, entry) is not entry:
            raise RecipeError(f"there is a {self.kind} {name!r} already; choose another name")
        self._entries[name] = entry
        _additions.append((self.kind, name))
        return entry

    def known(self, name: str) -> str:
        """Returns `name` if there is such an entry; raises `UnknownNameError` with the known names."""
        self[name]
        return name

    def valid(self, name: str) -> str:
        """Works like `known` for fields of records, but raises `ValueError`, so that the message names the field."""
        if name not in self._entries:
            raise ValueError(str(UnknownNameError(self.kind, name, self._entries)))
        return name

    def order(self, name: str) -> int:
        """Returns the position of `name` among all entries."""
        return list(self._entries).index(self.known(name))

    def __getitem__(self, name: str) -> T:
        if name not in self._entries:
            raise UnknownNameError(self.kind, name, self._entries)
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


_additions: list[tuple[str, str]] = []
"""Entries added to the package's own, as (kind, name)."""
_loaded: dict[Path, tuple[str, ModuleType]] = {}


def load_file(path: Path) -> ModuleType:
    """Loads the module of a user's recipe file, once per process.

    Raises `RecipeError` with the file, and the line of the error, for one that cannot be read or imported.
    """
    path = path.resolve()
    if path not in _loaded:
        try:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise RecipeError(f"the recipe file {path} cannot be read ({error.strerror}); check --recipe") from error
        spec = importlib.util.spec_from_file_location(f"r1_recipe_{digest[:12]}", path)
        if spec is None or spec.loader is None:
            raise RecipeError(f"the recipe file {path} is not Python; name a file that ends in .py")
        module, before = importlib.util.module_from_spec(spec), len(_additions)
        try:
            spec.loader.exec_module(module)
        except Exception as error:  # a user's file may raise anything
            raise RecipeError(f"the recipe file {path} does not import: {error_in(path, error)}") from error
        if len(_additions) == before and not hasattr(module, EXTEND):
            raise RecipeError(
                f"the recipe file {path} adds nothing; define {EXTEND}(profile), or add to a registry (examples/)"
            )
        _loaded[path] = digest, module
    return _loaded[path][1]


def loaded_files() -> dict[str, str]:
    """Returns the sha256 of every recipe file that this process has run."""
    return {str(path): digest for path, (digest, _) in _loaded.items()}


def error_in(path: Path, error: Exception) -> str:
    """Formats an error of a recipe file in one line, with the last line of the file on its traceback."""
    path = path.resolve()
    line, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    place = f"line {line}: " if line else ""
    if isinstance(error, ValidationError):
        said = (each["msg"].removeprefix("Value error, ") for each in error.errors())
        return f"{place}{error.title}: {'; '.join(said)}"
    return f"{place}{type(error).__name__}: {' '.join(str(error).split())}"
