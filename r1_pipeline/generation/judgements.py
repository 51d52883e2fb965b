"""This module turns sampled replies to general prompts, which have no reference, into corpus rows if a model approves.

The writer's completions are sampled and stored first (`sampling`). Then a judge reads each reply, or a reward model
scores it, and every judgement is stored with the corpus, so that an audit can replay the decision without the model:

    judge          sha256 of its prompt, its output, and the verdict parsed from that
    reward model   content digest, score in (0, 1), and the minimum score

Not covered: whether a judge or reward model is right; the replay (`lineage.judgements`).
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field

from r1_pipeline.data.samples import sample_from_problem
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
"""The number of replies that a judge reads in one batch."""


class ByJudge(Recipe):
    """The recipe of the decision by an LLM judge."""

    type: Literal["judge"] = "judge"
    sampling: Sampling
    """The sampling of the judge's output; temperature 0 makes it deterministic."""
    seed: int
    engine: AnyEngine = Transformers()
    """The engine that generates them."""


class ByReward(Recipe):
    """The recipe of the decision by the reward model of the prompt's kind."""

    type: Literal["reward_model"] = "reward_model"
    least: float = Field(gt=0.0, lt=1.0)
    """The minimum score of a reply that is kept, in (0, 1)."""


class AcceptRecipe(Recipe):
    """The recipe that decides which replies become corpus rows."""

    by: Annotated[ByJudge | ByReward, Field(discriminator="type")]
    per_problem: int
    """The maximum number of distinct rows kept for one prompt."""


class SampleGeneralRecipe(Recipe):
    """The recipe of corpus rows from a model's replies to general prompts."""

    ask: SamplingRecipe
    keep: AcceptRecipe

    def optional_inputs(self) -> Mapping[str, bool]:
        """Returns the input that approves: a judge or reward models."""
        judged = isinstance(self.keep.by, ByJudge)
        return {"judge": judged, "reward_models": not judged}


class Judgement(Record):
    """A model's judgement of one completion, with all that is needed to replay it."""

    problem_id: str
    sample_index: int
    outcome: Outcome
    """The outcome.

    `correct`: approved; `wrong`: rejected; `grader_error`: the judge's output cannot be parsed, or the judge has no
    room for the reply; `malformed` and `truncated`: there was no complete reply to judge.
    """
    verifier: str
    """The judge's name and version, `judge@VERSION` or `reward_model@DIGEST+least-LEAST`."""
    request: str | None
    """The sha256 of the judge's prompt."""
    said: str | None
    """The judge's output, verbatim."""
    finish_reason: str | None
    reward_model: str | None
    """The content digest of the reward model."""
    score: float | None
    least: float | None


def judgements_by_llm(
    judge: LlmJudge,
    engine: Engine,
    pairs: Sequence[tuple[Problem, Completion]],
    record: SamplingRecord,
    how: ByJudge,
    fits: Callable[[Request], bool],
) -> list[Judgement]:
    """Returns one judgement for each completion, in order; `fits` tells if the judge has room for a request.

    Raises `EngineError` if the engine cannot generate.
    """
    found: dict[int, Judgement] = {}
    waiting: list[tuple[int, str, Request]] = []
    for row, (problem, completion) in enumerate(pairs):
        final = split_reply(record.template, completion.text).final or ""
        request = judge.request(problem, final)
        fault = _unfit(completion, final) or (None if fits(request) else Outcome.GRADER_ERROR)
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
                pairs[row][1],
                verdict.outcome,
                verdict.verifier,
                request=request_hash(request.prompt),
                said=answer.text,
                finish_reason=answer.finish_reason,
            )
    return [found[row] for row in range(len(pairs))]


def judgements_by_reward_model(
    scorers: Mapping[PreferenceKind, Scorer],
    digests: Mapping[PreferenceKind, str],
    pairs: Sequence[tuple[Problem, Completion]],
    record: SamplingRecord,
    how: ByReward,
) -> list[Judgement]:
    """Returns one judgement for each completion, in order; raises `RecipeError` if a kind of prompt has no reward
    model."""
    kinds = {preference_kind(problem) for problem, _ in pairs}
    if lacking := sorted(kinds - scorers.keys()):
        raise RecipeError(f"there are {lacking[0]} prompts and no reward model for them; give one, or leave them out")
    scores = preference_scores([p for p, _ in pairs], [c for _, c in pairs], record.template, scorers)
    judgements = []
    for (problem, completion), score in zip(pairs, scores, strict=True):
        digest = digests[preference_kind(problem)]
        fault = _unfit(completion, split_reply(record.template, completion.text).final)
        liked = Outcome.CORRECT if score is not None and score >= how.least else Outcome.WRONG
        given = {} if fault else {"reward_model": digest, "score": score, "least": how.least}
        judgements.append(_judgement(completion, fault or liked, signature(digest, how.least), **given))
    return judgements


def signature(digest: str, least: float) -> str:
    """Returns the name and limit of a reward model that approves, for `Judgement.verifier`."""
    return f"reward_model@{digest[:12]}+least-{least}"


def _unfit(completion: Completion, final: str | None) -> Outcome | None:
    """Returns the outcome of a completion that is not judged; None if it is."""
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
    pairs: Sequence[tuple[Problem, Completion]],
    judgements: Sequence[Judgement],
    record: SamplingRecord,
    per_problem: int,
) -> tuple[list[Sample], Counter[str]]:
    """Returns the rows and the counts of drop reasons; the rows are the first approved replies of each prompt, in the
    chat form."""
    kept: list[Sample] = []
    drops: Counter[str] = Counter()
    known: dict[str, set[str]] = {}
    for (problem, completion), judgement in zip(pairs, judgements, strict=True):
        before = known.setdefault(problem.id, set())
        parts = split_reply(record.template, completion.text)
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
            kept.append(_sample(problem, completion, response, parts.reasoning or "", judgement, record))
    return kept, drops


def _sample(
    problem: Problem,
    completion: Completion,
    response: str,
    reasoning: str,
    judgement: Judgement,
    record: SamplingRecord,
) -> Sample:
    return sample_from_problem(
        problem,
        response,
        generator=record.model_digest,
        engine=completion.engine,
        **record.sampling.model_dump(exclude={"stop"}),
        seed=completion.seed,
        sample_index=completion.sample_index,
        outcome=judgement.outcome,
        verifier=judgement.verifier,
        tokens=len(completion.token_ids),
        language_share=language_share(reasoning, problem.language),
    )
