"""Sources: one observable asset for each place that problems come from; its data version is the content digest.

The built-in ones are digests of generators; a user's are digests of files, hashed again when looked at. What they hold
is no part of the code version of what reads them, so that a graph that was loaded before a change tells the truth
after it. Not covered: who looks, and when (`watch`).
"""

import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import dagster as dg

from dagster_defs.assets.stage import OWNERS
from dagster_defs.pipeline import Pipeline
from r1_pipeline.data.curation import CuratePreferencesRecipe, CurateRecipe
from r1_pipeline.data.ingest.declared import SourceRecipe
from r1_pipeline.data.sources import SourceName, source_of
from r1_pipeline.errors import SourceError
from r1_pipeline.profiles import Profile
from r1_pipeline.recipe import Recipe, fingerprint
from r1_pipeline.records import DOMAINS

READERS: Mapping[str, tuple[SourceName, ...]] = {
    "reasoning_problems": ("math", "code", "stem", "logic"),
    "heldout_problems": DOMAINS,
    "general_prompts": ("general",),
    "preference_pairs": ("preference",),
}
"""Which assets take the rows of which sources."""
SETTLED_S = 10.0
"""A file that was written more lately may be half-written; nothing follows it by itself yet."""


def source_key(name: str) -> dg.AssetKey:
    """Key of the source asset of a domain, or of a user's source."""
    return dg.AssetKey(f"{name}_source")


def source_assets(profile: Profile) -> list[dg.AssetsDefinition]:
    """The built-in sources that the profile takes, and the user's."""
    return [
        *(_observable(builtin_spec(name)) for name in builtin_sources(profile)),
        *(_observable(user_spec(source)) for source in user_sources(profile)),
    ]


def source_keys(profile: Profile, asset: str) -> list[dg.AssetKey]:
    """Sources that feed `asset`."""
    builtin = [name for name in builtin_sources(profile) if name in READERS[asset]]
    return [source_key(name) for name in (*builtin, *(source.name for source in _feeding(profile, asset)))]


def builtin_sources(profile: Profile) -> list[SourceName]:
    """Names of the built-in sources that the profile takes."""
    pairs = profile.recipe.preference_pairs.builtin
    return [*profile.recipe.heldout_problems.builtin, *(("preference",) if pairs else ())]


def user_sources(profile: Profile) -> list[SourceRecipe]:
    """The user's sources of the profile."""
    return [*profile.recipe.heldout_problems.sources, *profile.recipe.preference_pairs.sources]


def data_versions(profile: Profile) -> dict[str, str]:
    """Key of each source -> digest of what it holds."""
    found = {str(name): source_of(name).digest for name in builtin_sources(profile)}
    found |= {source.name: source.digest for source in user_sources(profile)}
    return {source_key(name).to_user_string(): digest for name, digest in found.items()}


def recipe_mark(profile: Profile, asset: str) -> str:
    """Eight digits of the recipe of `asset`, without what the files of its sources hold; empty where it has none."""
    own = getattr(profile.recipe, asset, None)
    if isinstance(own, CurateRecipe | CuratePreferencesRecipe):
        own = own.model_copy(update={"sources": tuple(s.model_copy(update={"files": ()}) for s in own.sources)})
    return fingerprint(own)[:8] if isinstance(own, Recipe | dict) else ""


def still_written(profile: Profile, asset: str) -> bool:
    """Whether a file that feeds `asset` was written only moments ago."""
    return any(
        abs(time.time() - path.stat().st_mtime) < SETTLED_S
        for source in _feeding(profile, asset)
        for path in files_of(source, profile)
    )


def files_of(source: SourceRecipe, profile: Profile) -> Iterator[Path]:
    """Where the files of a user's source lie on this machine."""
    folder = Path(profile.runtime.folders[source.name])
    return (folder / file.name for file in source.files)


def builtin_spec(name: SourceName) -> dg.AssetSpec:
    """A generator: another version may yield something else."""
    source = source_of(name)
    return _spec(name, f"{source.about} ({source.name}, {source.licence}).", source.licence, source.name)


def user_spec(source: SourceRecipe) -> dg.AssetSpec:
    """A user's files."""
    about = f"{source.feeds}, from {source.origin} ({source.licence})."
    return _spec(source.name, about, source.licence, source.origin)


def _feeding(profile: Profile, asset: str) -> list[SourceRecipe]:
    return [source for source in user_sources(profile) if source.feeds in READERS.get(asset, ())]


def _spec(name: str, about: str, licence: str, origin: str) -> dg.AssetSpec:
    return dg.AssetSpec(
        source_key(name),
        group_name="sources",
        description=about,
        owners=OWNERS,
        kinds={"file"},
        metadata={"licence": licence, "origin": origin},
        tags={"r1/licence": re.sub("[^A-Za-z0-9_.-]+", "_", licence)[:63]},
    )


def _observable(spec: dg.AssetSpec) -> dg.AssetsDefinition:
    name = spec.key.to_user_string()

    def look(pipeline: dg.ResourceParam[Pipeline]) -> dg.ObserveResult:
        found = data_versions(pipeline.settings.load())
        if name not in found:
            raise SourceError(f"{name} is not declared any more; reload the code location")
        return dg.ObserveResult(asset_key=spec.key, data_version=dg.DataVersion(found[name]))

    decorate = dg.multi_observable_source_asset(name=f"look_at_{name}", specs=[spec])
    observable: dg.AssetsDefinition = decorate(look)
    return observable
