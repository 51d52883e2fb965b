"""This module summarises a model's replies to general prompts, most of which have no right answer, by their evaluator.

    reference     a verifier compares the reply with it (pass@1 of the domain); most prompts have none
    refusal rule  it decides for every reply if it declines, counted by the kind of prompt
    reward model  it scores the replies, and its scores give a win rate over a baseline's replies (`preferences`)

Every completion is counted, together with the evaluators that judged it.
"""

from collections.abc import Mapping

from r1_pipeline.evaluation.cells import Cell, Row, number, percent
from r1_pipeline.evaluation.scores import EvalScores, Refusals
from r1_pipeline.records import PromptKind, Record

BY_REFERENCE, BY_RULE, BY_REWARD_MODEL = "reference", "refusal rule", "reward model"


class General(Record):
    """A summary of a model's replies to general prompts."""

    completions: int
    unreferenced: int
    """The number of completions for prompts without a reference."""
    evaluated_by: dict[str, int]
    """The number of completions that each evaluator judged."""
    refusals: dict[PromptKind, Refusals]
    preference: dict[str, dict[str, float]]
    """The `mean`, `n` and win rates of each kind of preference, as `preferences` writes them; empty without reward
    models."""


def general_of(scores: EvalScores, preference: Mapping[str, Mapping[str, float]]) -> General | None:
    """Summarises a model's replies to general prompts; None if it was evaluated on none."""
    unreferenced = scores.unreferenced.get("general", 0)
    referenced = scores.by_domain.get("general")
    completions = unreferenced + (sum(referenced.outcomes.values()) if referenced else 0)
    if not completions:
        return None
    by = {
        BY_REFERENCE: referenced.n if referenced else 0,
        BY_RULE: sum(kind.n for kind in scores.refusals.values()),
        BY_REWARD_MODEL: int(sum(kind["n"] for kind in preference.values())),
    }
    return General(
        completions=completions,
        unreferenced=unreferenced,
        evaluated_by={name: count for name, count in by.items() if count},
        refusals=scores.refusals,
        preference={kind: dict(values) for kind, values in preference.items()},
    )


def general_rows(general: Mapping[str, General]) -> list[Row]:
    """Returns one row for each model: completions, those without a reference, refusals by kind of prompt, and for each
    kind of preference the reward model's mean score and the win rates."""
    return [
        Row(
            name,
            (
                number(model.completions, 0),
                number(model.unreferenced, 0),
                *(_declined(model, kind) for kind in ("safety", "harmless", "helpful")),
                *(cell for kind in ("helpful", "safety") for cell in _liked(model.preference.get(kind, {}))),
            ),
        )
        for name, model in general.items()
    ]


def _declined(model: General, kind: PromptKind) -> Cell:
    found = model.refusals.get(kind)
    return percent(found.declined / found.n if found else None)


def _liked(values: Mapping[str, float]) -> tuple[Cell, ...]:
    rates = [value for name, value in values.items() if name.startswith("win_rate.") and name != "win_rate.written"]
    return number(values.get("mean"), 3), percent(rates[0] if rates else None), percent(values.get("win_rate.written"))
