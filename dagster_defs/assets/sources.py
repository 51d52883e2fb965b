"""Sources: one observable asset for each place that problems come from; its data version is the content digest."""

import dagster as dg

from r1_pipeline.data.sources import SOURCE_NAMES, SourceName, source_of


def source_key(name: SourceName) -> dg.AssetKey:
    """Key of the source asset of a domain."""
    return dg.AssetKey(f"{name}_source")


def source_asset(name: SourceName) -> dg.SourceAsset:
    """An observable asset that looks whether the source would yield something else."""
    source = source_of(name)

    @dg.observable_source_asset(
        key=source_key(name),
        group_name="sources",
        description=f"{source.about} ({source.name}, {source.licence}).",
        metadata={"licence": source.licence, "generator": source.name},
        tags={"r1/licence": source.licence},
    )
    def observe() -> dg.DataVersion:
        return dg.DataVersion(source_of(name).digest)

    return observe


sources = [source_asset(name) for name in SOURCE_NAMES]
