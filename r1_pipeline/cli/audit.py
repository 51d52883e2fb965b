"""The work behind `r1 audit`: chooses the artifacts, audits them and formats the findings."""

from pathlib import Path

from rich.markup import escape

from r1_pipeline.artifacts.kinds import Artifact
from r1_pipeline.artifacts.manifest import MANIFEST
from r1_pipeline.lineage.audit import Audit, audit
from r1_pipeline.lineage.library import Library, root_of
from r1_pipeline.recipe import Runtime

WORKERS = 2
"""Number of worker processes that grade rows again."""


def run_audit(home: Path, asset: str | None, full: bool) -> Audit:
    """Audits one artifact, given by name or as a directory, or all artifacts of the home.

    Raises `UnknownNameError` for a name without an artifact.
    """
    selected: list[Artifact] | None
    if asset and (manifest := Path(asset).resolve() / MANIFEST).is_file():
        library = Library.of(root_of(manifest.parent))
        selected = [artifact for artifact in library.artifacts.values() if artifact.path == manifest.parent]
    else:
        library = Library.of(home)
        selected = [library.find(asset)] if asset else None
    return audit(library, selected, full=full, runtime=Runtime(threads=WORKERS))


def format_audit(result: Audit) -> str:
    """Formats the findings, one per line, followed by a summary of what was checked."""
    lines = [f"[red]{escape(f.artifact)}[/] {escape(f.where)}: {escape(f.what)}" for f in result.findings]
    lines += [f"[yellow]not checked:[/] {escape(what)}" for what in result.not_checked]
    state = f"[red]{len(result.findings)} findings[/]" if result.findings else "[green]nothing wrong[/]"
    lines.append(
        f"{state}: {result.artifacts} artifacts, {result.files} files, {result.bytes / 1e6:,.1f} MB hashed; "
        f"{result.rows:,} corpus rows and {result.rollouts:,} rollouts checked, "
        f"of reasoning {result.rejudged} judged again"
    )
    if len(result.seals) == 1:
        lines.append(
            f"{result.seals[0].name}: digest {result.seals[0].digest}, manifest sha256 {result.seals[0].manifest}"
        )
    return "\n".join(lines)
