"""Sources: one observable asset for each place that problems come from; its data version is the content digest.

The built-in ones are digests of generators; a user's are digests of files, hashed again when looked at. What they hold
is no part of the code version of what reads them, so that a graph that was loaded before a change tells the truth
after it. Not covered: who looks, and when (`source_sensor`).
"""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg

from dagster_defs.pipeline import PipelineResource
from r1_pipeline.data.curation import CuratePreferencesRecipe, CurateRecipe
from r1_pipeline.data.ingest.declared import SourceRecipe
from r1_pipeline.data.sources import SOURCE_NAMES, SourceName, source_of
from r1_pipeline.errors import SourceError
from r1_pipeline.graph.node import Node
from r1_pipeline.profiles import Profile
from r1_pipeline.recipe import fingerprint

OWNERS = ["team:r1"]
SETTLE_TIME_S = 10.0
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


def source_keys(profile: Profile, node: Node) -> list[dg.AssetKey]:
    """Keys of the sources that feed a node."""
    names = (*_builtin_sources_of(profile, node), *(source.name for source in _file_sources_of(profile, node)))
    return [source_key(name) for name in names]


def builtin_sources(profile: Profile) -> list[SourceName]:
    """Names of the built-in sources that the profile takes."""
    used = {name for node in profile.graph for name in _builtin_sources_of(profile, node)}
    return [name for name in SOURCE_NAMES if name in used]


def user_sources(profile: Profile) -> list[SourceRecipe]:
    """The sources of the user's, or of a benchmark, that the profile takes."""
    sources = (source for node in profile.graph for source in _file_sources_of(profile, node))
    return list({source.name: source for source in sources}.values())


def data_versions(profile: Profile) -> dict[str, str]:
    """Key of each source -> digest of what it holds."""
    versions = {str(name): source_of(name).digest for name in builtin_sources(profile)}
    versions |= {source.name: source.digest for source in user_sources(profile)}
    return {source_key(name).to_user_string(): digest for name, digest in versions.items()}


def recipe_tag(profile: Profile, node: Node) -> str:
    """Eight digits of the recipes of `node`, without what the files of its sources hold; empty where it has none."""
    recipe = profile.bound.recipes_of(node)
    if isinstance(recipe, CurateRecipe | CuratePreferencesRecipe):
        recipe = recipe.model_copy(
            update={"sources": tuple(s.model_copy(update={"files": ()}) for s in recipe.sources)}
        )
    return fingerprint(recipe)[:8] if recipe is not None else ""


def is_being_written(profile: Profile, node: Node) -> bool:
    """Whether a file that feeds `node` was written only moments ago."""
    return any(
        abs(time.time() - path.stat().st_mtime) < SETTLE_TIME_S
        for source in _file_sources_of(profile, node)
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


def _builtin_sources_of(profile: Profile, node: Node) -> list[SourceName]:
    """Built-in sources that a node takes rows from."""
    recipe = profile.recipes.get(node.name)
    if isinstance(recipe, CurateRecipe):
        return [name for name in SOURCE_NAMES if name in recipe.builtin and name in recipe.domains]
    if isinstance(recipe, CuratePreferencesRecipe) and recipe.builtin:
        return ["preference"]
    return []


def _file_sources_of(profile: Profile, node: Node) -> list[SourceRecipe]:
    """Sources of files that a node takes rows from."""
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
        versions = data_versions(pipeline.settings.load())
        if name not in versions:
            raise SourceError(f"{name} is not declared any more; reload the code location")
        return dg.ObserveResult(asset_key=spec.key, data_version=dg.DataVersion(versions[name]))

    decorate = dg.multi_observable_source_asset(name=f"look_at_{name}", specs=[spec])
    observable: dg.AssetsDefinition = decorate(observe_sources)
    return observable
