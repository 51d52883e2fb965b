"""The work behind `r1 compare`: finds the two artifacts or homes, and formats what differs."""

from pathlib import Path

from rich.markup import escape
from rich.table import Table

from r1_pipeline.artifacts.kinds import Artifact, open_artifact
from r1_pipeline.artifacts.manifest import MANIFEST
from r1_pipeline.errors import UnknownNameError
from r1_pipeline.lineage.compare import Comparison, compare
from r1_pipeline.lineage.library import Library, root_of


def run_compare(home: Path, other: Path | None, one: str, two: str) -> Comparison:
    """Compares two artifacts: NAME, NAME@FINGERPRINT, NAME@DIGEST or a directory; `two` is of the home `other`.

    Raises `UnknownNameError` for a name without an artifact.
    """
    left, before = find(home, one)
    right, after = find(other or home, two)
    return compare(left, open_artifact(before.path), right, open_artifact(after.path))


def find(home: Path, name: str) -> tuple[Library, Artifact]:
    """Returns an artifact and its library."""
    if (manifest := Path(name).resolve() / MANIFEST).is_file():
        library = Library.of(root_of(manifest.parent))
        return library, next(each for each in library.artifacts.values() if each.path == manifest.parent)
    library = Library.of(home)
    asset, _, version = name.partition("@")
    named = [each for each in library.artifacts.values() if each.name == asset and version]
    for each in named:
        if each.digest.startswith(version):
            return library, each
    try:
        return library, library.find(name)
    except UnknownNameError:
        if not named:
            raise
        versions = [f"{asset}@{each.manifest.fingerprint[:12]}" for each in named]
        raise UnknownNameError("version", name, sorted(versions)) from None


def change_table(made: Comparison, every: bool) -> Table:
    """Returns the fields that differ; without `every`, those that can change the content on purpose."""
    table = Table("artifact", "field", "first", "second", box=None, header_style="bold")
    for each in made.changes:
        if each.cause or every:
            table.add_row(each.artifact, each.field, *(escape(_short(value)) for value in (each.before, each.after)))
    return table


def score_table(made: Comparison) -> Table:
    """Returns the scores of both, their difference and the exact p-value."""
    table = Table("group", "problems", "first", "second", "difference", "95%", "better", "worse", "p", box=None)
    for each in made.scores:
        table.add_row(
            each.group,
            str(each.problems),
            f"{100 * each.before:.1f}",
            f"{100 * each.after:.1f}",
            f"{100 * each.difference.value:+.1f}",
            f"{100 * each.difference.lo:+.1f} to {100 * each.difference.hi:+.1f}",
            str(each.better),
            str(each.worse),
            f"{each.p:.4f}" if each.p >= 0.0001 else "< 0.0001",
        )
    return table


def summary(made: Comparison) -> str:
    """Returns the result in one line."""
    causes = sum(each.cause for each in made.changes)
    other = len(made.changes) - causes
    same = "the same content" if made.same_content else "different content"
    line = f"{made.before} and {made.after} have {same}; {causes} fields of recipes, versions and inputs differ"
    return f"{line}, and {other} of what made them (commit, packages, device)" if other else line


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
