"""What an input is to the artifact that read it: the role of an edge, by the edge's name.

Names of edges are parameters of verbs and stand in every manifest, so roles also hold for artifacts made long ago.
"""

from typing import Literal

EdgeRole = Literal["trains on", "keeps out", "measures", "counts", "budgets"]

_ROLES: dict[str, EdgeRole] = {"heldout": "keeps out", "tokenizer_of": "counts", "budget": "budgets"}
_MEASURING = frozenset({"evaluate", "compare_preferences"})
"""Verbs whose every input is measured."""


def role_of(edge: str, verb: str = "") -> EdgeRole:
    """The role of `edge` where `verb` reads it; an edge without a special role trains or makes what it leads to."""
    if verb in _MEASURING:
        return "measures"
    return _ROLES.get(edge.partition(".")[0], "trains on")


def is_training_edge(edge: str) -> bool:
    """Whether what lies behind `edge` went into what the artifact holds, as data or as weights."""
    return role_of(edge) == "trains on"


def is_exclusion_edge(edge: str) -> bool:
    """Whether rows about what lies behind `edge` were kept out."""
    return role_of(edge) == "keeps out"


def exclusion_edge(name: str) -> str:
    """The edge of a further problem set, called `name`, that a corpus is screened against."""
    return f"heldout.{name}"
