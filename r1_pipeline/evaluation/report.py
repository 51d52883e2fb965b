"""This module builds `report.json` and the page from plain values.

`report.json` has this schema, version 1 (stable):

    schema profile seed home total_seconds environment
    overrides     [NODE.FIELD OLD → NEW] of recipe fields that the user has set (`--set`)
    left_out      DOMAIN -> the reason why this machine has no problems of it
    models        NAME -> pass_at_1 pass_at_1_ci pass_at_k cons_at_k format_rate language_consistency mean_tokens n
                          outcomes {OUTCOME: n} by_domain {DOMAIN: {pass_at_1, pass_at_1_ci, n}} digest
                          form {name, hash, stop: [STRING]}, the prompt form and the strings that ended a reply
                          favourites {DOMAIN: {answer, share, answers}} of multiple choice
                          depths [{steps, replies, right, mean_tokens, reflective, corrected}] of the toy sums
    differences   "AFTER − BEFORE" -> {DOMAIN or "overall": {value, lo, hi, facts}} of pass@1, problem by problem
    controls      [{effect control measure pair under difference controlled verdict}] of effects with their controls
    benchmarks    BENCHMARK -> models, as above, for every benchmark apart from the held-out problems
    agreements    EVALUATION -> digest answers verifiers alone not_run agreements [{grader package judged both_correct
                          ours_only theirs_only both_wrong without_verdict agreement kappa causes}], with each outside
                          grader; absent if none is stored
    reward_models NAME -> accuracy n calibration [{predicted, observed, pairs}] calibration_error
    general       NAME -> completions unreferenced evaluated_by {WHO: completions}
                          refusals {KIND: {n, declined, problems}}
                          preference {KIND: {mean, n, win_rate.BASELINE, problems.BASELINE}}
    corpus        rows by_domain {DOMAIN: rows} mean_tokens {DOMAIN: tokens a row} dropped {REASON: n} heldout_overlap
                  toy_choices {rows, unsupported}: toy multiple choice, and rows whose reasoning does not support it
    sizes         NAME -> parameters active_parameters kv_bytes plain_kv_bytes, of the bases, bytes a token
    expert_load   NAME -> busiest expert over the mean, in tokens: models with experts, mean of their last 20 steps
    rollouts      NAME -> rollouts warnings [SENTENCE] periods [{step, rollouts, tokens, truncated, flat, reward, parts,
                          outcomes, sampler_gap, empty_think, repetition, language, entropy, clipped}]
    stages        ASSET -> seconds reused fingerprint digest tokens
    gates         NAME -> passed blocking value limit
    bars          claim value interval sense limit passed, of every bar; passed is null if nothing was measured

Names are asset keys, with the partition after a slash. A model's own numbers are unweighted means over all domains of
its evaluation; format rate and language consistency are over reasoning domains only. The bars on maths read
`by_domain.math.pass_at_1`. `n` counts judged completions: problems x samples, minus those that the grader could not
judge. Intervals are 95%, clustered by fact; a difference is paired. `digest` is the content digest of the checkpoint.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from r1_pipeline.data.subset import shuffled
from r1_pipeline.evaluation.bars import bars
from r1_pipeline.evaluation.comparisons import comparisons
from r1_pipeline.evaluation.completions_page import reference_of
from r1_pipeline.evaluation.inputs import Exchange, Reply, ReportInputs
from r1_pipeline.evaluation.page import render
from r1_pipeline.evaluation.scores import EvalScores
from r1_pipeline.recipe import Recipe
from r1_pipeline.records import DOMAINS, Outcome, Problem

if TYPE_CHECKING:
    import polars as pl

SCHEMA = 1


class ReportRecipe(Recipe):
    """The problems and replies that the report shows in full."""

    exchanges: int
    """The number of held-out problems shown with replies; domains and languages take turns."""
    exchange_models: tuple[str, ...]
    """The models whose replies are shown, side by side."""


def build_report(inputs: ReportInputs) -> tuple[dict[str, Any], str]:
    """Returns the value of `report.json` and the text of `report.html`."""
    return report_json(inputs), render(inputs)


def report_json(inputs: ReportInputs) -> dict[str, Any]:
    """Returns the numbers in the stable schema of the module's docstring."""
    corpus = inputs.corpus
    return {
        "schema": SCHEMA,
        "profile": inputs.profile,
        "seed": inputs.seed,
        "home": inputs.home,
        "overrides": list(inputs.overrides),
        "left_out": inputs.left_out,
        "models": {
            name: {
                **_model(scores),
                "depths": [depth.model_dump() for depth in inputs.depths.get(name, ())],
                "favourites": {d: each.model_dump() for d, each in inputs.favourites.get(name, {}).items()},
            }
            for name, scores in inputs.models.items()
        },
        "differences": {
            each.name: {domain: found.model_dump() for domain, found in each.by_domain.items()}
            for each in comparisons(inputs)
        },
        "controls": [
            each.model_dump(mode="json", exclude={"rises"}) | {"verdict": each.verdict} for each in inputs.controls
        ],
        "benchmarks": {
            benchmark: {name: _model(scores) for name, scores in models.items()}
            for benchmark, models in inputs.benchmarks.items()
        },
        **_agreements(inputs),
        "reward_models": {name: scored.model_dump() for name, scored in inputs.reward_models.items()},
        "general": {name: general.model_dump() for name, general in inputs.general.items()},
        "corpus": {
            "rows": sum(domain.rows for domain in corpus.by_domain.values()),
            "by_domain": {name: domain.rows for name, domain in corpus.by_domain.items()},
            "mean_tokens": {name: domain.tokens / domain.rows for name, domain in corpus.by_domain.items()},
            "dropped": corpus.dropped,
            "heldout_overlap": corpus.heldout_overlap,
            "toy_choices": corpus.support.model_dump(),
        },
        "sizes": {name: sizes.model_dump() for name, sizes in inputs.sizes.items()},
        "expert_load": inputs.expert_load,
        "rollouts": {name: shown.health.model_dump() for name, shown in inputs.rollouts.items()},
        "stages": {name: stage.model_dump() for name, stage in inputs.stages.items()},
        "gates": {name: gate.model_dump() for name, gate in inputs.gates.items()},
        "bars": [bar.model_dump(exclude={"decimals"}) | {"passed": bar.passed} for bar in bars(inputs)],
        "total_seconds": inputs.total_seconds,
        "environment": inputs.environment,
    }


def _agreements(inputs: ReportInputs) -> dict[str, Any]:
    shown = {each.name: each.model_dump(mode="json", exclude={"name", "disagreements"}) for each in inputs.agreements}
    return {"agreements": shown} if shown else {}


def _model(scores: EvalScores) -> dict[str, Any]:
    overall = scores.overall
    return {
        "pass_at_1": overall.pass_at_1,
        "pass_at_1_ci": [overall.pass_at_1_ci.lo, overall.pass_at_1_ci.hi],
        "pass_at_k": {str(k): value for k, value in overall.pass_at_k.items()},
        "cons_at_k": overall.cons_at_k,
        "format_rate": overall.format_rate,
        "language_consistency": overall.language_consistency,
        "mean_tokens": overall.mean_tokens,
        "n": overall.n,
        "outcomes": {str(outcome): overall.outcomes.get(outcome, 0) for outcome in Outcome},
        "by_domain": {
            name: {"pass_at_1": s.pass_at_1, "pass_at_1_ci": [s.pass_at_1_ci.lo, s.pass_at_1_ci.hi], "n": s.n}
            for name, s in scores.by_domain.items()
        },
        "digest": scores.identity.model_digest,
        "form": {
            "name": scores.identity.template,
            "hash": scores.identity.template_hash,
            "stop": list(scores.identity.sampling.stop),
        },
    }


def exchanges(
    recipe: ReportRecipe, problems: Sequence[Problem], completions: Mapping[str, "pl.DataFrame"]
) -> tuple[Exchange, ...]:
    """Returns problems with each model's first reply for the page; the hash of their ids selects the problems.

    `completions` are the tables of the evaluations by model; models without a table are left out.
    """
    tables = {name: completions[name] for name in recipe.exchange_models if name in completions}
    shared = set.intersection(*(set(table["problem_id"]) for table in tables.values())) if tables else set()
    pool = [problem for problem in shuffled(problems) if problem.id in shared]
    domains, languages = list(DOMAINS), sorted({problem.language for problem in pool})
    chosen: list[Problem] = []
    for turn in range(recipe.exchanges if pool else 0):
        wanted = domains[turn % len(domains)], languages[turn % len(languages)]
        fitting_problems = (p for p in pool if (p.domain, p.language) == wanted and p not in chosen)
        chosen += [problem for problem in [next(fitting_problems, None)] if problem]
    return tuple(
        Exchange(
            question=problem.question,
            domain=problem.domain,
            language=problem.language,
            reference=reference_of(problem),
            replies={name: _first_reply(table, problem.id) for name, table in tables.items()},
        )
        for problem in chosen
    )


def _first_reply(table: "pl.DataFrame", problem_id: str) -> Reply:
    rows = table.filter(table["problem_id"] == problem_id).sort("sample_index")
    row = rows.row(0, named=True)
    return Reply(text=row["text"], outcome=Outcome(row["outcome"]))
