"""The work behind `r1 trace`: finds origins, sources and dependent models, and renders them."""

from collections.abc import Sequence
from pathlib import Path

from rich.markup import escape
from rich.table import Table
from rich.tree import Tree

from r1_pipeline.errors import WrongKindError
from r1_pipeline.lineage import training_data
from r1_pipeline.lineage.library import Library
from r1_pipeline.lineage.page import page
from r1_pipeline.lineage.trace import Node, trace
from r1_pipeline.lineage.training_data import Learner, Rewarded, Share

SHORTENED = ("digest", "fingerprint", "commit")
"""Hashes that the terminal shows shortened."""
HIDDEN = ("kind", "fingerprint", "commit")
"""Facts that only `--json` and `--page` show."""
MAX_TEXT = 300
"""Maximum number of characters of a text on the terminal."""


TraceResult = Node | list[Share] | list[Learner] | list[Rewarded]


def run_trace(library: Library, what: str, *, sources: bool, models: bool, rollouts: bool) -> TraceResult:
    """Returns the tree of a row, the sources of a model or of its rollouts, or the models that depend on `what`.

    Raises `UnknownNameError` if nothing has this name.
    """
    if rollouts:
        return training_data.rollout_sources(library, library.find(what))
    if sources:
        return training_data.training_sources(library, library.find(what))
    return training_data.models_trained_on(library, what) if models else trace(library, what)


def render_trace(result: TraceResult) -> Tree | Table:
    """Renders a result for the terminal."""
    return (
        _add_branches(Tree(_label(result), guide_style="dim"), result) if isinstance(result, Node) else _table(result)
    )


def write_page(result: TraceResult, path: Path) -> None:
    """Writes a tree as a page to `path`; raises `WrongKindError` for other results."""
    if not isinstance(result, Node):
        raise WrongKindError("--page shows the trace of one row; leave out --sources, --models and --rollouts")
    path.write_text(page(result), encoding="utf-8")


def _table(rows: Sequence[Share] | Sequence[Learner] | Sequence[Rewarded]) -> Table:
    names = list(type(rows[0]).model_fields) if rows else ["nothing"]
    table = Table(*(name.replace("_", " ") for name in names), box=None, header_style="bold")
    for row in rows:
        table.add_row(*(_cell(name, getattr(row, name)) for name in names))
    return table


def _add_branches(branch: Tree, node: Node) -> Tree:
    for inner in node.below:
        _add_branches(branch.add(_label(inner)), inner)
    return branch


def _label(node: Node) -> str:
    facts = {name: value for name, value in node.facts.items() if name not in HIDDEN and value not in ("", None)}
    labels = [f"[dim]{name}[/] {_cell(name, value)}" for name, value in facts.items()]
    return "\n".join([f"[cyan]{escape(node.part)}[/] [bold]{escape(node.name)}[/]", ", ".join(labels)]).strip()


def _cell(name: str, value: object) -> str:
    if isinstance(value, tuple):
        return escape(", ".join(map(str, value)))
    text = str(value)[: 12 if name in SHORTENED else None]
    return escape(text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…")
