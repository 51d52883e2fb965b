"""The settings of a home: its profile, seed, sources and recipe file, and checks of the folder.

    R1_HOME (./.r1)   R1_PROFILE (tiny, or laptop with sources of the user's own)   R1_SEED (0)
    R1_RECIPE (recipe.py in the home, if it exists)
    R1_SOURCES (sources.toml in the home, otherwise next to the recipe file, if it exists)
    R1_SET (fields of recipes that differ from the profile's: NODE.FIELD=VALUE, one a line)

The command line sets the same variables, so the user interface and the terminal see the same graph.
`dagster_defs.settings` adds the settings of runs and tracking.
"""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from r1_pipeline.artifacts.manifest import MARKER, check_marker
from r1_pipeline.errors import RecipeError, RequirementError, did_you_mean

if TYPE_CHECKING:
    from r1_pipeline.profiles import Profile

OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "OMP_WAIT_POLICY": "passive",
}
"""Environment of every run: no network access below the graph, no tokenizer threads across a fork, and no spinning of
waiting threads, which on a shared machine costs several times the work itself."""

DEFAULT_PROFILE = "tiny"
"""The profile where none is named."""
OWN_DATA_PROFILE = "laptop"
"""The profile where none is named and the user has sources of their own, which need a base that knows more than the toy
world."""
SEEDS = 2**32
"""Exclusive upper bound of seeds, set by NumPy."""


@dataclass(frozen=True)
class HomeSettings:
    """One home, one profile, one seed."""

    home: Path
    profile: str
    seed: int
    sources: Path | None = None
    """File of the user's own sources (`r1_pipeline.data.ingest.declared`); None for the built-in problems only."""
    recipe: Path | None = None
    """The user's own recipe file (`r1_pipeline.profiles.extended`); None for the package only."""
    overrides: tuple[str, ...] = ()
    """Fields of recipes that differ from the profile's: `NODE.FIELD=VALUE` (`r1_pipeline.profiles.overrides`)."""

    @classmethod
    def from_environment(cls) -> Self:
        """Reads the settings from the environment, with the defaults above; raises `RecipeError` for a bad seed."""
        return cls(**cls._read(Path(os.environ.get("R1_HOME", ".r1")).resolve()))

    @classmethod
    def _read(cls, home: Path) -> dict[str, Any]:
        """Reads the fields of the settings of `home` from the environment."""
        recipe = _named("R1_RECIPE") or _kept("recipe.py", home)
        sources = _named("R1_SOURCES") or _kept("sources.toml", home, recipe)
        return {
            "home": home,
            "profile": os.environ.get("R1_PROFILE", OWN_DATA_PROFILE if sources else DEFAULT_PROFILE),
            "seed": _seed(os.environ.get("R1_SEED", "0")),
            "sources": sources,
            "recipe": recipe,
            "overrides": tuple(filter(None, map(str.strip, os.environ.get("R1_SET", "").splitlines()))),
        }

    def load(self) -> "Profile":
        """Loads the profile with the user's sources, for this machine.

        `runtime.toml` in the home, or next to the recipe file, overrides the profile's runtime. Benchmarks in a folder
        `benchmarks` in the same places belong to the graph.

        `overrides` come last. Raises `UnknownNameError`, `RecipeError` or `SourceError`. It downloads files that a
        source names on the Hub and the cache lacks, before `announce` takes this process offline.
        """
        from r1_pipeline.data.ingest.declared import read_sources
        from r1_pipeline.evaluation.benchmarks import FOLDER
        from r1_pipeline.profiles import load_profile
        from r1_pipeline.profiles.benchmarks import with_benchmarks
        from r1_pipeline.profiles.extended import extended
        from r1_pipeline.profiles.overrides import parsed, with_overrides
        from r1_pipeline.profiles.runtimes import with_runtime
        from r1_pipeline.profiles.sources import with_sources
        from r1_pipeline.registry import load_file

        if self.recipe:
            load_file(self.recipe)  # it may define the profile
        profile = load_profile(self.profile, self.seed)
        if machine := _kept("runtime.toml", self.home, self.recipe):
            profile = with_runtime(profile, machine)
        if self.recipe:
            profile = extended(profile, self.recipe)
        if benchmarks := _kept(FOLDER, self.home, self.recipe):
            profile = with_benchmarks(profile, benchmarks)
        if self.sources:
            profile = with_sources(profile, read_sources(self.sources))
        return with_overrides(profile, parsed(self.overrides)) if self.overrides else profile

    def announce(self) -> None:
        """Sets the environment of this process and its children to these settings; writes no file."""
        os.environ.update(OFFLINE)
        os.environ["R1_HOME"], os.environ["R1_PROFILE"] = str(self.home), self.profile
        os.environ["R1_SEED"], os.environ["R1_SET"] = str(self.seed), "\n".join(self.overrides)
        os.environ["R1_SOURCES"], os.environ["R1_RECIPE"] = str(self.sources or ""), str(self.recipe or "")
        if hub := sys.modules.get("huggingface_hub.constants"):
            vars(hub)["HF_HUB_OFFLINE"] = True  # it read the environment when a source was fetched

    @property
    def report_directory(self) -> Path:
        """Folder of the newest report."""
        return self.home / "report"


def require_home(home: Path) -> None:
    """Checks that `home` is a home, without creating it; raises `RequirementError` if not."""
    if (home / MARKER).is_file():
        return check_marker(home)
    if home.exists():
        raise RequirementError(f"{home} is not a home (it has no {MARKER}); name one with --home")
    beside = [each.parent.name for each in home.parent.glob(f"*/{MARKER}")]
    raise RequirementError(
        f"there is no home {home};{did_you_mean(home.name, beside)} name one with --home, or make it: r1 run"
    )


def require_writable(home: Path) -> None:
    """Checks that `home` is, or can become, a writable folder; raises `RequirementError` if not."""
    nearest = next(folder for folder in (home, *home.parents) if folder.exists())
    if not nearest.is_dir():
        raise RequirementError(f"{home} cannot be a home: {nearest} is a file; name a folder with --home")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise RequirementError(f"{home} cannot be written: no permission in {nearest}; name another with --home")
    if (home / MARKER).is_file():
        check_marker(home)


def _seed(text: str) -> int:
    if not text.isdecimal() or int(text) >= SEEDS:
        raise RecipeError(f"the seed is {text!r}; give a whole number from 0 to {SEEDS - 1} (--seed or R1_SEED)")
    return int(text)


def _named(variable: str) -> Path | None:
    """Returns the file that an environment variable names."""
    return Path(named).resolve() if (named := os.environ.get(variable)) else None


def _kept(file: str, home: Path, recipe: Path | None = None) -> Path | None:
    """Returns the file of this name in the home, or next to the recipe file; None if there is none."""
    folders = [home, *([recipe.parent] if recipe else [])]
    return next((path for folder in folders if (path := folder / file).exists()), None)
