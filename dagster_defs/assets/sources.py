"""Sources: one observable asset for each place that problems come from; its data version is the content digest.

The built-in ones are digests of generators; a user's are digests of files, hashed again when looked at.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import dagster as dg

from r1_pipeline.data.ingest.declared import SourceRecipe, hashed
from r1_pipeline.data.sources import SourceName, source_of
from r1_pipeline.profiles import Profile
from r1_pipeline.records import DOMAINS

READERS: Mapping[str, tuple[SourceName, ...]] = {
    "reasoning_problems": ("math", "code", "stem", "logic"),
    "heldout_problems": DOMAINS,
    "general_prompts": ("general",),
    "preference_pairs": ("preference",),
}
"""Which assets take the rows of which sources."""


def source_key(name: str) -> dg.AssetKey:
    """Key of the source asset of a domain, or of a user's source."""
    return dg.AssetKey(f"{name}_source")


def source_assets(profile: Profile) -> list[dg.SourceAsset]:
    """The built-in sources that the profile takes, and the user's."""
    return [
        *(builtin_asset(name) for name in builtin_sources(profile)),
        *(user_asset(source, Path(profile.runtime.folders[source.name])) for source in user_sources(profile)),
    ]


def source_keys(profile: Profile, asset: str) -> list[dg.AssetKey]:
    """Sources that feed `asset`."""
    fed = READERS[asset]
    users = [source.name for source in user_sources(profile) if source.feeds in fed]
    return [source_key(name) for name in (*(n for n in builtin_sources(profile) if n in fed), *users)]


def builtin_sources(profile: Profile) -> list[SourceName]:
    """Names of the built-in sources that the profile takes."""
    pairs = profile.recipe.preference_pairs.builtin
    return [*profile.recipe.heldout_problems.builtin, *(("preference",) if pairs else ())]


def user_sources(profile: Profile) -> list[SourceRecipe]:
    """The user's sources of the profile."""
    return [*profile.recipe.heldout_problems.sources, *profile.recipe.preference_pairs.sources]


def builtin_asset(name: SourceName) -> dg.SourceAsset:
    """Looks whether the generator would yield something else."""
    source = source_of(name)
    about = f"{source.about} ({source.name}, {source.licence})."
    return _observable(name, about, source.licence, source.name, lambda: source_of(name).digest)


def user_asset(source: SourceRecipe, folder: Path) -> dg.SourceAsset:
    """Looks whether the files hold something else."""
    about = f"{source.feeds}, {len(source.files)} file(s) from {source.origin} ({source.licence})."

    def digest() -> str:
        files = hashed(folder, [file.name for file in source.files])
        return source.model_copy(update={"files": files}).digest

    return _observable(source.name, about, source.licence, source.origin, digest)


def _observable(name: str, about: str, licence: str, origin: str, digest: Callable[[], str]) -> dg.SourceAsset:
    @dg.observable_source_asset(
        key=source_key(name),
        group_name="sources",
        description=about,
        metadata={"licence": licence, "generator": origin},
        tags={"r1/licence": licence.replace(" ", "_")},
    )
    def observe() -> dg.DataVersion:
        return dg.DataVersion(digest())

    return observe
