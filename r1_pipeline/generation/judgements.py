"""General replies that a model wrote and another approves of: sampled prompts without a reference become corpus rows.

The writer's completions are asked for and stored first (`sampling`). Then a judge reads each reply, or a reward model
scores it, and every opinion is kept beside the corpus, so that an audit can replay the decision without the model:

    judge          sha256 of what it was asked, what it said, and the verdict that was read out of that
    reward model   content digest, score in (0, 1), and the least score that was wanted

Not covered: whether a judge or reward model is right; the replay (`lineage.judgements`).
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field

from r1_pipeline.data.samples import answer_to
from r1_pipeline.data.templates import reply, split_reply
from r1_pipeline.engines import AnyEngine, Transformers
from r1_pipeline.errors import RecipeError
from r1_pipeline.generation.engine import Engine, request_hash
from r1_pipeline.generation.llm_judge import MAX_ANSWER, LlmJudge
from r1_pipeline.generation.sampling import SamplingRecipe, SamplingRecord
from r1_pipeline.recipe import Recipe
from r1_pipeline.records import Completion, Outcome, PreferenceKind, Problem, Record, Request, Sample, Sampling
from r1_pipeline.rewards.language import language_share
from r1_pipeline.rewards.preference import Scorer, preference_kind
from r1_pipeline.rewards.rubric import preference_scores

ROUND = 256
"""Replies that a judge is asked about at once."""


class ByJudge(Recipe):
    """A generative judge decides."""

    type: Literal["judge"] = "judge"
    sampling: Sampling
    """How the judge's replies are drawn; temperature 0 makes it say the same again."""
    seed: int
    engine: AnyEngine = Transformers()
    """What generates them."""


class ByReward(Recipe):
    """The reward model of the prompt's kind decides."""

    type: Literal["reward_model"] = "reward_model"
    least: float = Field(gt=0.0, lt=1.0)
    """Least score in (0, 1) of a reply that is kept."""


class AcceptRecipe(Recipe):
    """Which replies become corpus rows."""

    by: Annotated[ByJudge | ByReward, Field(discriminator="type")]
    per_problem: int
    """Distinct rows kept of one prompt, at most."""


class SampleGeneralRecipe(Recipe):
    """How a model's replies to general prompts become corpus rows."""

    ask: SamplingRecipe
    keep: AcceptRecipe

    def optional_inputs(self) -> frozenset[str]:
        """What approves: a judge or reward models."""
        return frozenset({"judge" if isinstance(self.keep.by, ByJudge) else "reward_models"})


class Judgement(Record):
    """What a model thinks of one completion, with all that is needed to replay it."""

    problem_id: str
    sample_index: int
    outcome: Outcome
    """`correct`: approved of; `wrong`: not; `grader_error`: the judge said nothing that can be read, or
    had no room for the reply; `malformed` and
    `truncated`: there was no whole reply to ask about."""
    verifier: str
    """`judge@VERSION` or `reward_model@DIGEST+least-LEAST`."""
    request: str | None
    """sha256 of what the judge was asked."""
    said: str | None
    """What the judge said, word for word."""
    finish_reason: str | None
    reward_model: str | None
    """Content digest."""
    score: float | None
    least: float | None


def judgements_by_llm(
    judge: LlmJudge,
    engine: Engine,
    said: Sequence[tuple[Problem, Completion]],
    asked: SamplingRecord,
    how: ByJudge,
    fits: Callable[[str], bool],
) -> list[Judgement]:
    """One opinion for each completion, in order; `fits` says whether the judge has room for a prompt."""
    found: dict[int, Judgement] = {}
    waiting: list[tuple[int, str, Request]] = []
    for row, (problem, completion) in enumerate(said):
        final = split_reply(asked.template, completion.text).final or ""
        request = judge.request(problem, final)
        fault = _unfit(completion, final) or (None if fits(request.prompt) else Outcome.GRADER_ERROR)
        if fault:
            found[row] = _judgement(completion, fault, f"{judge.name}@{judge.version}")
        else:
            waiting.append((row, final, request))
    for start in range(0, len(waiting), ROUND):
        part = waiting[start : start + ROUND]
        replies = engine.generate([request for *_, request in part], how.sampling)
        for (row, final, request), answer in zip(part, replies, strict=True):
            verdict = judge.read(answer, final)
            found[row] = _judgement(
                said[row][1],
                verdict.outcome,
                verdict.verifier,
                request=request_hash(request.prompt),
                said=answer.text,
                finish_reason=answer.finish_reason,
            )
    return [found[row] for row in range(len(said))]


def judgements_by_reward_model(
    scorers: Mapping[PreferenceKind, Scorer],
    digests: Mapping[PreferenceKind, str],
    said: Sequence[tuple[Problem, Completion]],
    asked: SamplingRecord,
    how: ByReward,
) -> list[Judgement]:
    """One opinion for each completion, in order; raises `RecipeError` where a kind of prompt has no reward model."""
    kinds = {preference_kind(problem) for problem, _ in said}
    if lacking := sorted(kinds - scorers.keys()):
        raise RecipeError(f"there are {lacking[0]} prompts and no reward model for them; give one, or leave them out")
    scores = preference_scores([p for p, _ in said], [c for _, c in said], asked.template, scorers)
    judgements = []
    for (problem, completion), score in zip(said, scores, strict=True):
        digest = digests[preference_kind(problem)]
        fault = _unfit(completion, split_reply(asked.template, completion.text).final)
        liked = Outcome.CORRECT if score is not None and score >= how.least else Outcome.WRONG
        given = {} if fault else {"reward_model": digest, "score": score, "least": how.least}
        judgements.append(_judgement(completion, fault or liked, signature(digest, how.least), **given))
    return judgements


def signature(digest: str, least: float) -> str:
    """Who approves, where a reward model does."""
    return f"reward_model@{digest[:12]}+least-{least}"


def _unfit(completion: Completion, final: str | None) -> Outcome | None:
    """Why nobody is asked about a completion."""
    if completion.finish_reason == "length":
        return Outcome.TRUNCATED
    return Outcome.MALFORMED if not final or len(final) > MAX_ANSWER else None


def _judgement(completion: Completion, outcome: Outcome, verifier: str, **given: object) -> Judgement:
    nothing = dict.fromkeys(("request", "said", "finish_reason", "reward_model", "score", "least"))
    return Judgement.model_validate(
        {
            **nothing,
            "problem_id": completion.problem_id,
            "sample_index": completion.sample_index,
            "outcome": outcome,
            "verifier": verifier,
            **given,
        }
    )


def approved_samples(
    said: Sequence[tuple[Problem, Completion]], judgements: Sequence[Judgement], asked: SamplingRecord, per_problem: int
) -> tuple[list[Sample], Counter[str]]:
    """(rows, drop reasons): the first approved replies of each prompt, in the chat form."""
    kept: list[Sample] = []
    drops: Counter[str] = Counter()
    known: dict[str, set[str]] = {}
    for (problem, completion), judgement in zip(said, judgements, strict=True):
        before = known.setdefault(problem.id, set())
        parts = split_reply(asked.template, completion.text)
        final = parts.final or ""
        response = reply(parts.reasoning, final) if parts.reasoning else final
        if judgement.outcome is not Outcome.CORRECT:
            drops[judgement.outcome] += 1
        elif response in before:
            drops["duplicate"] += 1
        elif len(before) == per_problem:
            drops["enough_of_this_problem"] += 1
        else:
            before.add(response)
            kept.append(_sample(problem, completion, response, parts.reasoning or "", judgement, asked))
    return kept, drops


def _sample(
    problem: Problem, completion: Completion, response: str, reasoning: str, judgement: Judgement, asked: SamplingRecord
) -> Sample:
    return answer_to(
        problem,
        response,
        generator=asked.model_digest,
        engine=completion.engine,
        **asked.sampling.model_dump(),
        seed=completion.seed,
        sample_index=completion.sample_index,
        outcome=judgement.outcome,
        verifier=judgement.verifier,
        tokens=len(completion.token_ids),
        language_share=language_share(reasoning, problem.language),
    )
