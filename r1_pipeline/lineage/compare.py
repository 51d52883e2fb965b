"""This module compares two artifacts: which inputs, recipes and versions differ, and whether the scores do.

Differences are those of the two manifests, field by field, and of every pair of inputs whose content differs, up to
the sources. Scores of two evaluations are compared on the problems that both have, by the exact test of
`evaluation.estimators.exact_p`. Not covered: two files of a recipe that was never run.
"""

from collections.abc import Iterator
from typing import Any

from r1_pipeline.artifacts.kinds import Artifact, EvalReport
from r1_pipeline.artifacts.manifest import InputRef, Manifest
from r1_pipeline.evaluation.estimators import Difference, exact_p, paired
from r1_pipeline.evaluation.paired import OVERALL, gaps, marks_of
from r1_pipeline.lineage.library import Library
from r1_pipeline.recipe import flat
from r1_pipeline.records import Record

Value = str | int | float | bool | None
_ABSENT = "absent"


class Change(Record):
    """A field that differs between two artifacts or their inputs."""

    artifact: str
    """The artifact, or the input of an input, that has the field."""
    field: str
    """The field, such as `recipe.ask.sampling.temperature`, `input problems` or `package torch`."""
    before: Any
    after: Any
    cause: bool
    """False for what cannot change the content on purpose: the commit, packages, the device."""


class ScoreChange(Record):
    """The scores of two evaluations on the problems that both have."""

    group: str
    """A domain, or `overall`: all problems together."""
    problems: int
    """The number of problems that both have a verdict on."""
    before: float
    """The mean score of the first evaluation on these problems."""
    after: float
    better: int
    """The number of problems on which the second evaluation has the higher score."""
    worse: int
    difference: Difference
    """The mean of after minus before with its interval, clustered by fact."""
    p: float
    """The exact two-sided p-value; the smaller, the less likely are equal models."""


class Comparison(Record):
    """Everything that differs between two artifacts."""

    before: str
    """NAME@FINGERPRINT of the first artifact."""
    after: str
    same_content: bool
    """True if both have the same content digest."""
    changes: tuple[Change, ...]
    scores: tuple[ScoreChange, ...]
    """The changes by domain; empty unless both are evaluations."""
    unread: tuple[str, ...]
    """Inputs that differ and are not stored in their home, so that the reason is unknown."""


def compare(one: Library, before: Artifact, other: Library, after: Artifact) -> Comparison:
    """Compares two artifacts of two libraries, which may be the same."""
    unread: list[str] = []
    changes = tuple(_changes(one, before.manifest, other, after.manifest, set(), unread))
    scores: tuple[ScoreChange, ...] = ()
    if isinstance(before, EvalReport) and isinstance(after, EvalReport):
        scores = tuple(score_changes(after, before))
    return Comparison(
        before=f"{before.name}@{before.manifest.fingerprint[:12]}",
        after=f"{after.name}@{after.manifest.fingerprint[:12]}",
        same_content=before.digest == after.digest,
        changes=changes,
        scores=scores,
        unread=tuple(unread),
    )


def score_changes(after: EvalReport, before: EvalReport) -> Iterator[ScoreChange]:
    """Yields the change of every domain, and of all problems together; nothing if they share no problem."""
    marks = [marks_of(report.completions(), "domain") for report in (after, before)]
    by_group = gaps(*marks)
    if len(by_group) > 1:
        by_group[OVERALL] = [gap for each in by_group.values() for gap in each]
    shared = {(mark.group, mark.problem_id) for mark in marks[0]} & {(mark.group, mark.problem_id) for mark in marks[1]}
    for group, found in by_group.items():
        means = [
            [m.score for m in side if (m.group, m.problem_id) in shared and group in (OVERALL, m.group)]
            for side in marks
        ]
        yield ScoreChange(
            group=group,
            problems=len(found),
            before=sum(means[1]) / len(found),
            after=sum(means[0]) / len(found),
            better=sum(gap.gap > 0 for gap in found),
            worse=sum(gap.gap < 0 for gap in found),
            difference=paired([found]),
            p=exact_p(found),
        )


def _changes(
    one: Library, before: Manifest, other: Library, after: Manifest, seen: set[tuple[str, str]], unread: list[str]
) -> Iterator[Change]:
    pair = before.fingerprint, after.fingerprint
    if pair in seen or before == after:
        return
    seen.add(pair)
    name = before.name if before.name == after.name else f"{before.name} | {after.name}"
    if before.stage == after.stage:
        yield from _fields(name, _hashed(before), _hashed(after), cause=True)
    else:  # recipes of two stages have no field in common
        yield Change(artifact=name, field="stage", before=before.stage, after=after.stage, cause=True)
    yield from _fields(name, _made_by(before), _made_by(after), cause=False)
    for edge in sorted({*before.inputs, *after.inputs}):
        left, right = before.inputs.get(edge), after.inputs.get(edge)
        if left is not None and right is not None and left.digest == right.digest:
            continue
        yield Change(artifact=name, field=f"input {edge}", before=_named(left), after=_named(right), cause=True)
        if left is not None and right is not None:
            stored = one.at(left), other.at(right)
            if stored[0] is None or stored[1] is None:
                unread.append(f"{edge} of {name}")
                continue
            yield from _changes(one, stored[0].manifest, other, stored[1].manifest, seen, unread)


def _hashed(manifest: Manifest) -> dict[str, Value]:
    """Returns what the fingerprint hashes, without the inputs, which are compared as artifacts."""
    return dict(flat({name: value for name, value in manifest.payload.items() if name != "inputs"}))


def _made_by(manifest: Manifest) -> dict[str, Value]:
    made = manifest.provenance
    packages = {f"package {name}": version for name, version in made.packages.items()}
    commit = {"commit": made.commit, "uncommitted changes": made.diff_sha256}
    return {**commit, "python": made.python, "device": made.device, **packages}


def _fields(name: str, before: dict[str, Value], after: dict[str, Value], *, cause: bool) -> Iterator[Change]:
    for field in dict.fromkeys([*before, *after]):
        left, right = before.get(field, _ABSENT), after.get(field, _ABSENT)
        if left != right:
            yield Change(artifact=name, field=field, before=left, after=right, cause=cause)


def _named(ref: InputRef | None) -> str:
    return _ABSENT if ref is None else f"{ref.name} {ref.digest[:12]}"
