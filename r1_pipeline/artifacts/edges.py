"""The roles of edges: the purpose for which an artifact reads an input, by the edge's name.

Names of edges are parameters of verbs and are stored in every manifest, so roles also apply to old artifacts.
"""

from typing import Literal

EdgeRole = Literal["trains on", "keeps out", "measures", "counts", "budgets", "selects"]

_ROLES: dict[str, EdgeRole] = {
    "heldout": "keeps out",
    "tokenizer_of": "counts",
    "budget": "budgets",
    "difficulty": "selects",
}
_MEASURING = frozenset({"evaluate", "compare_preferences", "measure_difficulty", "rollout_difficulty"})
"""Verbs that only measure their inputs."""


def role_of(edge: str, verb: str = "") -> EdgeRole:
    """Returns the role of `edge` as an input of `verb`; by default the artifact is made from the input."""
    if verb in _MEASURING:
        return "measures"
    return _ROLES.get(edge.partition(".")[0], "trains on")


def is_training_edge(edge: str) -> bool:
    """Returns True if the input behind `edge` went into the artifact's contents, as data or as weights."""
    return role_of(edge) == "trains on"


def is_selection_edge(edge: str) -> bool:
    """Returns True if the input behind `edge` decided which rows the artifact was trained on, and how often."""
    return role_of(edge) == "selects"


def is_exclusion_edge(edge: str) -> bool:
    """Returns True if rows that contain text of the input behind `edge` were kept out."""
    return role_of(edge) == "keeps out"


def exclusion_edge(name: str) -> str:
    """Names the edge of a further problem set, `name`, that a corpus is screened against."""
    return f"heldout.{name}"
