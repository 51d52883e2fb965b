"""From verdicts and texts to rewards: unweighted parts, and the weights that join them.

`reward = Σ weight · part` over the parts that apply (paper, equations 4 and 8-10): accuracy for reasoning problems,
preference for general ones, format and language for both. Tag count, repetition and over-length are not the paper's
and off unless a profile weighs or watches them. A part that does not apply is None. Where the reference or the grader
was at fault, **every** part is None: the sample is unscorable and leaves the group's statistics (TRL does so with rows
that are all None), since a missing accuracy term would otherwise count as zero. Outcomes are logged with accuracy.
Not covered: advantages, and when the preference part enters training (the stages decide).
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Annotated, Any

from pydantic import AfterValidator

from r1_pipeline.data.templates import TemplateName, split_reply
from r1_pipeline.errors import RecipeError, UnknownNameError
from r1_pipeline.recipe import AddedField, Recipe
from r1_pipeline.records import Completion, Outcome, PreferenceKind, Problem
from r1_pipeline.registry import Registry
from r1_pipeline.rewards.format_check import is_well_formed
from r1_pipeline.rewards.language import language_share
from r1_pipeline.rewards.overlong import Overlong, overlong_penalty
from r1_pipeline.rewards.preference import Scorer, preference_kind, squash
from r1_pipeline.rewards.reflection import is_reflective
from r1_pipeline.rewards.repetition import repetition
from r1_pipeline.rewards.tags import tag_share
from r1_pipeline.rewards.toy_general_score import general_score
from r1_pipeline.rewards.verifier import Grader

Part = str
"""Name of a part: one of `BUILTIN_PARTS`, or of `PARTS`."""
BUILTIN_PARTS: tuple[Part, ...] = ("accuracy", "format", "language", "preference", "tags", "repetition", "overlong")
Log = Callable[[str, float], None]
"""Takes a number worth watching beside a part, of this very batch."""
PartFn = Callable[[Sequence[Problem], Sequence[Completion], Log], list[float | None]]
Measure = Callable[[Problem, Completion, TemplateName], float | None]
"""A value in [-1, 1] of one completion, from its text alone; None where it does not apply."""
PARTS: Registry[Measure] = Registry("reward part", {"courtesy": general_score, "reflection": is_reflective})
"""Further reward parts, to which recipe files add; a rubric weighs them in `others`, or watches them."""


class Rubric(Recipe):
    """Weights of the parts; a part of weight 0 is computed only if it is watched."""

    accuracy: float
    """Weight of 1.0 for a correct answer; for reasoning problems only."""
    format: float
    """Weight of 1.0 for a well-formed reply; above about 0.2 the tiny model learns format and forgets arithmetic."""
    language: float
    """Weight of the share of reasoning words in the problem's language (equation 7)."""
    preference: float
    """Weight of the reward models' score, not rescaled; for general problems only."""
    tags: Annotated[float, AddedField()] = 0.0
    """Weight of the share of the template's tags that occur exactly once."""
    repetition: Annotated[float, AddedField()] = 0.0
    """Weight of minus the share of repeated n-grams."""
    overlong: Annotated[Overlong | None, AddedField()] = None
    """Penalty in [-1, 0] for replies close to the limit of tokens, with its weight; None for no penalty."""
    others: Annotated[tuple[tuple[Annotated[str, AfterValidator(PARTS.valid)], float], ...], AddedField()] = ()
    """Further parts (`PARTS`), each with its weight."""
    watched: tuple[Part, ...] = ()
    """Parts that are measured and logged although their weight is 0."""

    def model_post_init(self, _: Any) -> None:
        if unknown := [part for part in self.watched if part not in BUILTIN_PARTS and part not in PARTS]:
            raise UnknownNameError("reward part", unknown[0], [*BUILTIN_PARTS, *PARTS])
        if "overlong" in self.watched and self.overlong is None:
            raise RecipeError("overlong is watched and has no limit; give the rubric an Overlong of weight 0")

    @property
    def weights(self) -> dict[Part, float]:
        """The weights that are not zero, and those of watched parts."""
        overlong = self.overlong.weight if self.overlong else 0.0
        weights = {part: overlong if part == "overlong" else getattr(self, part) for part in BUILTIN_PARTS}
        weights |= {part: dict(self.others).get(part, 0.0) for part in PARTS}
        return {part: weight for part, weight in weights.items() if weight or part in self.watched}


def reward(rubric: Rubric, parts: Mapping[Part, float | None]) -> float | None:
    """The weighted sum over the parts that apply; None if none does."""
    weights = {part: weight for part, weight in rubric.weights.items() if weight}
    terms = [weight * value for part, weight in weights.items() if (value := parts.get(part)) is not None]
    return sum(terms) if terms else None


def part_functions(
    rubric: Rubric, grader: Grader, template: TemplateName, scorers: Mapping[PreferenceKind, Scorer]
) -> dict[Part, PartFn]:
    """One function per part of `rubric.weights`. `scorers` may be empty where preference weighs nothing."""

    def graded(problems: Sequence[Problem], completions: Sequence[Completion], log: Log) -> list[float | None]:
        scores: list[float | None] = [None] * len(problems)
        rows = [row for row, problem in enumerate(problems) if problem.domain != "general"]
        verdicts = grader.grade_all([(problems[row], completions[row]) for row in rows], template)
        for row, judged in zip(rows, verdicts, strict=True):
            scores[row] = judged.score
        found = Counter(judged.outcome for judged in verdicts)
        for outcome in Outcome if rows else ():
            log(f"outcome/{outcome}", found[outcome] / len(rows))
        return scores

    def rule(measure: Callable[[Problem, Completion], float | None]) -> PartFn:
        """A part that reads the text alone; None where a reasoning problem could not be graded (the cache knows)."""

        def part(problems: Sequence[Problem], completions: Sequence[Completion], _: Log) -> list[float | None]:
            scores = graded(problems, completions, _silent) if rubric.accuracy else [0.0] * len(problems)
            return [
                None if score is None and problem.domain != "general" else measure(problem, completion)
                for score, problem, completion in zip(scores, problems, completions, strict=True)
            ]

        return part

    def preference(problems: Sequence[Problem], completions: Sequence[Completion], _: Log) -> list[float | None]:
        return reward_model_scores(problems, completions, template, scorers)

    def penalty(_: Problem, completion: Completion) -> float:
        assert rubric.overlong is not None
        return overlong_penalty(rubric.overlong, len(completion.token_ids))

    known: dict[Part, PartFn] = {
        "accuracy": graded,
        "format": rule(lambda _, said: float(is_well_formed(template, said.text))),
        "language": rule(lambda asked, said: language_share(reasoning_of(template, said.text), asked.language)),
        "preference": preference,
        "tags": rule(lambda _, said: tag_share(template, said.text)),
        "repetition": rule(lambda _, said: -repetition(said.text)),
        "overlong": rule(penalty),
        **{name: rule(partial(_measured, measure, template)) for name, measure in PARTS.items()},
    }
    return {part: known[part] for part in rubric.weights}


def _measured(measure: Measure, template: TemplateName, problem: Problem, completion: Completion) -> float | None:
    return measure(problem, completion, template)


def _silent(name: str, value: float) -> None:
    """A `Log` that keeps nothing."""


def reasoning_of(template: TemplateName, text: str) -> str:
    """The text whose language counts: the reasoning, or everything where no reasoning can be told apart."""
    found = split_reply(template, text).reasoning
    return text if found is None else found


def reward_model_scores(
    problems: Sequence[Problem],
    completions: Sequence[Completion],
    template: TemplateName,
    scorers: Mapping[PreferenceKind, Scorer],
) -> list[float | None]:
    """Scores of general replies, None for reasoning problems; one without a final part is an empty reply."""
    scores: list[float | None] = [None] * len(problems)
    for kind, scorer in scorers.items():
        rows: list[int] = []
        replies: list[str] = []
        for row, (problem, completion) in enumerate(zip(problems, completions, strict=True)):
            final = split_reply(template, completion.text).final
            if problem.domain == "general" and preference_kind(problem) == kind:
                rows.append(row)
                replies.append((final or "") if kind == "helpful" else completion.text)
        if rows:
            values = scorer.score([problems[row].question for row in rows], replies)
            for row, value in zip(rows, values, strict=True):
                scores[row] = value
    return scores


def preference_scores(
    problems: Sequence[Problem],
    completions: Sequence[Completion],
    template: TemplateName,
    scorers: Mapping[PreferenceKind, Scorer],
) -> list[float | None]:
    """The same squashed to (0, 1), for comparisons; a reply without a final part gets 0.0."""
    scores = reward_model_scores(problems, completions, template, scorers)
    return [
        None if score is None else squash(score) if split_reply(template, completion.text).final else 0.0
        for score, completion in zip(scores, completions, strict=True)
    ]
