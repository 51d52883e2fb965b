"""Sources: one observable asset per origin of problems, whose data version is the digest of its content.

The digest of a built-in source identifies its generator; the digest of a user's source hashes its files. The content of
a source is no part of the code version of the assets that read it, so that a graph loaded before a change remains
correct after it. Not covered: when sources are observed (`source_sensor`).
"""

import re
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import dagster as dg

from dagster_defs.metadata import Metadata
from dagster_defs.pipeline import PipelineResource
from r1_pipeline.data.curation import CuratePreferencesRecipe, CurateRecipe
from r1_pipeline.data.ingest.declared import SourceRecipe
from r1_pipeline.data.ingest.files import read_rows
from r1_pipeline.data.sources import SOURCE_NAMES, Source, SourceName, source_of
from r1_pipeline.data.toy_problems import source_in
from r1_pipeline.errors import SourceError
from r1_pipeline.graph.node import Node
from r1_pipeline.profiles import Profile
from r1_pipeline.recipe import fingerprint

OWNERS = ["team:r1"]
SETTLE_TIME_S = 10.0
"""Seconds after the last write during which a file may be half-written, so that automation waits."""


def source_key(name: str) -> dg.AssetKey:
    """Returns the key of the source asset of a domain, or of a user's source."""
    return dg.AssetKey(f"{name}_source")


def source_assets(profile: Profile) -> list[dg.AssetsDefinition]:
    """Returns the assets of the built-in sources and user sources that the profile reads."""
    return [
        *(_observable(builtin_spec(profile, name)) for name in builtin_sources(profile)),
        *(_observable(user_spec(source)) for source in user_sources(profile)),
    ]


def source_keys(profile: Profile, node: Node) -> list[dg.AssetKey]:
    """Returns the keys of the sources that feed a node."""
    names = (*_builtin_sources_of(profile, node), *(source.name for source in _file_sources_of(profile, node)))
    return [source_key(name) for name in names]


def builtin_sources(profile: Profile) -> list[SourceName]:
    """Returns the names of the built-in sources that the profile reads."""
    used = {name for node in profile.graph for name in _builtin_sources_of(profile, node)}
    return [name for name in SOURCE_NAMES if name in used]


def user_sources(profile: Profile) -> list[SourceRecipe]:
    """Returns the sources of files, a user's or a benchmark's, that the profile reads."""
    sources = (source for node in profile.graph for source in _file_sources_of(profile, node))
    return list({source.name: source for source in sources}.values())


def data_versions(profile: Profile) -> dict[str, str]:
    """Returns the digest of the content of each source by its key."""
    versions = {str(name): _builtin_source(profile, name).digest for name in builtin_sources(profile)}
    versions |= {source.name: source.digest for source in user_sources(profile)}
    return {source_key(name).to_user_string(): digest for name, digest in versions.items()}


def source_facts(profile: Profile) -> dict[str, Callable[[], Metadata]]:
    """Returns, by key, a function that measures a source: digest, files, bytes, rows, licence and origin.

    Counting rows reads the files, so it is done once a content, when that is recorded.
    """
    builtin = {name: _builtin_source(profile, name) for name in builtin_sources(profile)}
    facts: dict[str, Callable[[], Metadata]] = {
        source_key(name).to_user_string(): partial(_generator_facts, source) for name, source in builtin.items()
    }
    return facts | {
        source_key(source.name).to_user_string(): partial(_file_facts, source, profile)
        for source in user_sources(profile)
    }


def _generator_facts(source: Source) -> Metadata:
    return {
        "rows": "as many as a recipe asks for",
        "licence": source.licence,
        "origin": source.name,
        "digest": source.digest,
    }


def _file_facts(source: SourceRecipe, profile: Profile) -> Metadata:
    paths = list(files_of(source, profile))
    return {
        "dagster/row_count": sum(1 for path in paths for _ in read_rows(path)),
        "bytes": sum(path.stat().st_size for path in paths),
        "files": len(paths),
        "licence": source.licence,
        "origin": source.origin,
        "digest": source.digest,
    }


def recipe_tag(profile: Profile, node: Node) -> str:
    """Returns 8 hex digits that identify the recipes of `node` without the content of its source files, or an empty
    string.
    """
    recipe = profile.bound.recipes_of(node)
    if isinstance(recipe, CurateRecipe | CuratePreferencesRecipe):
        recipe = recipe.model_copy(
            update={"sources": tuple(s.model_copy(update={"files": ()}) for s in recipe.sources)}
        )
    return fingerprint(recipe)[:8] if recipe is not None else ""


def is_being_written(profile: Profile, node: Node) -> bool:
    """Returns True if a file that feeds `node` was written less than `SETTLE_TIME_S` seconds ago."""
    return any(
        abs(time.time() - path.stat().st_mtime) < SETTLE_TIME_S
        for source in _file_sources_of(profile, node)
        for path in files_of(source, profile)
    )


def files_of(source: SourceRecipe, profile: Profile) -> Iterator[Path]:
    """Yields the paths of a user's source files on this machine."""
    folder = Path(profile.runtime.folders[source.name])
    return (folder / file.name for file in source.files)


def builtin_spec(profile: Profile, name: SourceName) -> dg.AssetSpec:
    """Returns the asset of a built-in source, which is a generator with a version."""
    source = _builtin_source(profile, name)
    return _spec(name, f"{source.about} ({source.name}, {source.licence}).", source.licence, source.name)


def user_spec(source: SourceRecipe) -> dg.AssetSpec:
    """Returns the asset of a user's source, which is a set of files."""
    about = f"{source.feeds}, from {source.origin} ({source.licence})."
    return _spec(source.name, about, source.licence, source.origin)


def _builtin_source(profile: Profile, name: SourceName) -> Source:
    """Returns the built-in source of this name as the profile's problem sets take it."""
    if name == "preference":
        return source_of(name)
    curated = (recipe for recipe in profile.recipes.values() if isinstance(recipe, CurateRecipe))
    return next(source_in(recipe.problems, name) for recipe in curated if name in recipe.domains)


def _builtin_sources_of(profile: Profile, node: Node) -> list[SourceName]:
    """Returns the built-in sources that a node reads."""
    recipe = profile.recipes.get(node.name)
    if isinstance(recipe, CurateRecipe):
        return [name for name in SOURCE_NAMES if name in recipe.builtin and name in recipe.domains]
    if isinstance(recipe, CuratePreferencesRecipe) and recipe.builtin:
        return ["preference"]
    return []


def _file_sources_of(profile: Profile, node: Node) -> list[SourceRecipe]:
    """Returns the sources of files that a node reads."""
    recipe = profile.recipes.get(node.name)
    if isinstance(recipe, CurateRecipe):
        return [source for source in recipe.sources if source.feeds in recipe.domains]
    return list(recipe.sources) if isinstance(recipe, CuratePreferencesRecipe) else []


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

    def observe_sources(pipeline: dg.ResourceParam[PipelineResource]) -> dg.ObserveResult:
        profile = pipeline.settings.load()
        versions = data_versions(profile)
        if name not in versions:
            raise SourceError(f"{name} is no longer declared; reload the code location")
        facts = source_facts(profile)[name]()
        return dg.ObserveResult(asset_key=spec.key, data_version=dg.DataVersion(versions[name]), metadata=facts)

    decorate = dg.multi_observable_source_asset(name=f"look_at_{name}", specs=[spec])
    observable: dg.AssetsDefinition = decorate(observe_sources)
    return observable
