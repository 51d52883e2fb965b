"""Describes the columns of artifacts' tables with the docstrings of the records that the rows are made from."""

import ast
import inspect
import textwrap
from collections.abc import Mapping
from functools import cache
from itertools import pairwise

from r1_pipeline.artifacts.kinds import Artifact, Completions, Corpus, EvalReport, PreferenceSet, ProblemSet
from r1_pipeline.records import Completion, PreferencePair, Problem, Record, Sample, Verdict

RECORDS: Mapping[type[Artifact], tuple[type[Record], ...]] = {
    ProblemSet: (Problem,),
    PreferenceSet: (PreferencePair, Problem),
    Corpus: (Sample, Completion, Verdict, Problem),
    Completions: (Completion, Sample, Problem),
    EvalReport: (Completion, Verdict, Sample, Problem),
}
"""The records of a kind's rows; where several have a column, the first one with a docstring describes it."""
COMPUTED: Mapping[str, str] = {
    "well_formed": "True if the completion has the form that its prompt asks for.",
    "repetition": "Share of repeated word sequences: 1 - distinct n-grams / n-grams, in [0, 1).",
    "reasoning": "The completion's text between its tags of reasoning.",
    "final": "The completion's text after the reasoning.",
    "vote": "Number of the answer's group in the majority vote over a problem's samples.",
    "fact": "The fact that the problem is about; problems about one fact are not independent.",
    "declined": "True if the reply declines the request, for general prompts only.",
}
"""Descriptions of the columns that grading adds and no record has."""


def column_descriptions(artifact: Artifact) -> dict[str, str]:
    """Returns the first sentence about each known column of an artifact's table."""
    found = dict(COMPUTED)
    for record in reversed(RECORDS.get(type(artifact), ())):
        found |= field_docstrings(record)
    return {name: " ".join(text.split("\n\n")[0].split()) for name, text in found.items()}


@cache
def field_docstrings(record: type[Record]) -> dict[str, str]:
    """Returns the docstring below each field of a record; fields without one are absent."""
    (source,) = ast.parse(textwrap.dedent(inspect.getsource(record))).body
    assert isinstance(source, ast.ClassDef)
    return {
        field.target.id: text.value.value
        for field, text in pairwise(source.body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) and isinstance(text.value.value, str)
    }
