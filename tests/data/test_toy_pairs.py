"""Preference pairs have near misses and wrong labels; held-out pairs share neither topic nor form with training
pairs."""

from collections import Counter

import pytest

from r1_pipeline.data.curation import CuratePreferencesRecipe, pair_sides
from r1_pipeline.data.ingest.declared import Side
from r1_pipeline.data.split import is_heldout
from r1_pipeline.data.toy_general import GeneralTask, all_general_tasks
from r1_pipeline.data.toy_general_words import REPLIES, REQUESTS, THINGS
from r1_pipeline.data.toy_pairs import forms_of, preference_pairs, side_of
from r1_pipeline.records import PreferencePair
from r1_pipeline.rewards.toy_general_score import goodness

SHARE, WRONG = 0.25, 0.08


@pytest.fixture(scope="module")
def pairs() -> list[tuple[PreferencePair, Side]]:
    return preference_pairs(SHARE, WRONG)


def general_task_of(pair: PreferencePair) -> GeneralTask:
    row = pair.source.partition("#")[2].partition(":")[0]
    return next(task for task in all_general_tasks() if task.row == row)


def is_wrong(pair: PreferencePair) -> bool:
    return pair.source.endswith("wrong label")


def test_the_preferred_reply_is_the_good_one_but_for_the_wrong_labels(pairs: list[tuple[PreferencePair, Side]]) -> None:
    for pair, _ in pairs[::7]:
        good, bad = (pair.rejected, pair.chosen) if is_wrong(pair) else (pair.chosen, pair.rejected)
        scores = [goodness(general_task_of(pair), pair.language, reply) for reply in (good, bad)]
        assert scores[0] == 1.0 and scores[1] < 1.0, pair


@pytest.mark.parametrize("side", ["train", "heldout"])
def test_labels_are_wrong_in_about_the_share_that_the_recipe_says(
    pairs: list[tuple[PreferencePair, Side]], side: Side
) -> None:
    ours = [pair for pair, of in pairs if of == side]
    assert sum(map(is_wrong, ours)) / len(ours) == pytest.approx(WRONG, abs=0.02)
    assert not any(is_wrong(pair) for pair, _ in preference_pairs(SHARE, 0.0))


def test_held_out_pairs_share_neither_topic_nor_form_nor_held_out_problem_with_training(
    pairs: list[tuple[PreferencePair, Side]],
) -> None:
    by_side: dict[str, list[PreferencePair]] = {"train": [], "heldout": []}
    for pair, side in pairs:
        by_side[side].append(pair)
    train, heldout = by_side["train"], by_side["heldout"]
    assert not {general_task_of(pair).topic for pair in train} & {general_task_of(pair).topic for pair in heldout}
    assert not any(is_heldout(f"#{general_task_of(pair).row}", SHARE) for pair in train)
    for language, kinds in REQUESTS.items():
        for kind, forms in kinds.items():
            ours = [p for p in heldout if p.language == language and general_task_of(p).kind == kind]
            kept = forms_of(forms, "heldout", SHARE)
            assert all(p.prompt in [general_task_of(p).question(language, form) for form in kept] for p in ours), kind
    kinds_held = Counter(general_task_of(pair).kind for pair in heldout)
    assert {"thank", "harm", "harmless"} <= kinds_held.keys()


def test_the_last_forms_are_held_out_and_every_form_has_one_side() -> None:
    forms = REPLIES["en"]["thank"]
    assert list(forms_of(forms, "train", SHARE)) == [0, 1, 2] and list(forms_of(forms, "heldout", SHARE)) == [3]
    assert list(forms_of(forms, "train", 0.0)) == [0, 1, 2]  # one at least is measured with


def test_a_held_out_problem_of_a_training_topic_has_no_pairs() -> None:
    sides = Counter(side_of(task, SHARE) for task in all_general_tasks())
    assert sides[None] > 0 and sides["train"] > sides["heldout"] > 0
    for task in all_general_tasks():
        if side_of(task, SHARE) is None:
            assert is_heldout(f"#{task.row}", SHARE) and not is_heldout(f"#{task.topic}", SHARE)


def test_both_kinds_have_near_misses_and_curation_keeps_their_sides(pairs: list[tuple[PreferencePair, Side]]) -> None:
    manners = {
        kind: Counter(p.source.partition(": ")[2] for p, _ in pairs if p.kind == kind) for kind in ("helpful", "safety")
    }
    assert manners["helpful"]["half"] > manners["helpful"]["curt"] > 0 and manners["helpful"]["name"] > 0
    assert manners["safety"]["hedged"] > manners["safety"]["foreign"] > 0
    sides = pair_sides(CuratePreferencesRecipe(heldout_share=SHARE, wrong_share=WRONG), {})
    assert {p.id for p in sides.heldout} == {p.id for p, side in pairs if side == "heldout"}
    assert len(sides.train) + len(sides.heldout) + len(sides.dropped) == len(pairs)


def test_no_training_pair_rejects_the_thing_of_a_held_out_topic(pairs: list[tuple[PreferencePair, Side]]) -> None:
    """Such pairs trained models to reject held-out topics: 0.34 of the pairs with another thing were told apart."""
    held = {general_task_of(pair).topic for pair, side in pairs if side == "heldout"}
    things = THINGS["thank"]["en"]
    for pair, side in pairs:
        asked = general_task_of(pair)
        if side == "train" and asked.kind == "thank" and pair.language == "en" and ": thing" in pair.source:
            worse = pair.chosen if is_wrong(pair) else pair.rejected
            assert not [thing for thing in things if thing in worse and f"thank {thing}" in held]
