"""`r1 trace`: what the terminal shows of rows, models and what they learned from."""

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
from r1_pipeline.lineage.training_data import Learner, Share

SHORT = ("digest", "fingerprint", "commit")
"""Hashes of which the terminal shows the beginning."""
LEFT_OUT = ("kind", "fingerprint", "commit")
"""What the terminal leaves to `--json` and `--page`."""
SHOWN_TEXT = 300
"""Characters of a text that the terminal shows."""


Answer = Node | list[Share] | list[Learner]


def answer(library: Library, what: str, *, sources: bool, models: bool) -> Answer:
    """The tree of a row, the sources of a model, or the models behind which something stands."""
    if sources:
        return training_data.sources(library, library.find(what))
    return training_data.models(library, what) if models else trace(library, what)


def shown(found: Answer) -> Tree | Table:
    """An answer as the terminal shows it."""
    return _grown(Tree(_label(found), guide_style="dim"), found) if isinstance(found, Node) else _table(found)


def write_page(found: Answer, path: Path) -> None:
    """A tree as a page at `path`; raises `WrongKindError` for other answers."""
    if not isinstance(found, Node):
        raise WrongKindError("--page shows the trace of one row; leave out --sources and --models")
    path.write_text(page(found), encoding="utf-8")


def _table(rows: Sequence[Share] | Sequence[Learner]) -> Table:
    names = list(type(rows[0]).model_fields) if rows else ["nothing"]
    table = Table(*(name.replace("_", " ") for name in names), box=None, header_style="bold")
    for row in rows:
        table.add_row(*(_cell(name, getattr(row, name)) for name in names))
    return table


def _grown(branch: Tree, node: Node) -> Tree:
    for inner in node.below:
        _grown(branch.add(_label(inner)), inner)
    return branch


def _label(node: Node) -> str:
    facts = {name: value for name, value in node.facts.items() if name not in LEFT_OUT and value not in ("", None)}
    said = [f"[dim]{name}[/] {_cell(name, value)}" for name, value in facts.items()]
    return "\n".join([f"[cyan]{escape(node.part)}[/] [bold]{escape(node.name)}[/]", ", ".join(said)]).strip()


def _cell(name: str, value: object) -> str:
    if isinstance(value, tuple):
        return escape(", ".join(map(str, value)))
    text = str(value)[: 12 if name in SHORT else None]
    return escape(text if len(text) <= SHOWN_TEXT else f"{text[:SHOWN_TEXT]}…")
