"""Graded format: a quarter for each step towards the form, all of it for a well-formed reply alone."""

import pytest

from r1_pipeline.rewards.format_check import is_well_formed
from r1_pipeline.rewards.graded_format import format_steps
from r1_pipeline.rewards.rubric import PARTS, Annealed, Rubric, part_functions, weights_at


@pytest.mark.parametrize(
    ("template", "text", "share"),
    [
        ("zero", "<think>a</think> <answer>5</answer>", 1.0),
        ("zero", "<think>a</think> <answer>5</answer> and more", 0.75),  # something after
        ("zero", "so <think>a</think> then <answer>5</answer>", 0.75),  # something before and between
        ("zero", "<answer>5</answer> <think>a</think>", 0.5),  # both closed, in the wrong order
        ("zero", "<think>a</think> 5", 0.25),
        ("zero", "a</think> <answer>5</answer>", 0.25),
        ("zero", "<think>a</think> <answer>5</answer> <answer>6</answer>", 0.25),
        ("zero", "<think></think> <answer>5</answer>", 0.5),  # answered, in order, no thought
        ("zero", "the answer is 5", 0.0),
        ("chat", "<think>a</think>5", 1.0),
        ("chat", "well <think>a</think>5", 0.75),
        ("chat", "<think>a</think>", 0.5),  # a thought, in order, no answer
        ("chat", "<think>a", 0.0),
        ("boxed", "two and three: \\boxed{5}", 1.0),
        ("boxed", "two and three: 5", 0.0),
    ],
)
def test_a_quarter_for_each_step(template, text, share):
    assert format_steps(template, text) == share
    assert (share == 1.0) == is_well_formed(template, text)


def test_the_part_is_weighed_by_its_name(grader, problem, completion):
    rubric = Rubric(accuracy=1.0, format=0.0, language=0.0, preference=0.0, others=(("graded_format", 0.2),))
    assert "graded_format" in PARTS
    assert rubric.weights == {"accuracy": 1.0, "graded_format": 0.2}
    part = part_functions(rubric, grader, "zero", {})["graded_format"]
    assert part([problem("5")], [completion("<think>a</think> 5")], lambda *_: None) == [0.25]


def test_a_weight_moves_in_a_straight_line_between_two_steps_and_stays():
    rubric = Rubric(
        accuracy=1.0, format=0.4, language=0.0, preference=0.0,
        annealed=(Annealed(part="format", to=0.0, begin=2, end=6),),
    )  # fmt: skip
    at = [weights_at(rubric, step)["format"] for step in (0, 2, 3, 4, 5, 6, 100)]
    assert at == pytest.approx([0.4, 0.4, 0.3, 0.2, 0.1, 0.0, 0.0])
    assert {weights_at(rubric, step)["accuracy"] for step in (0, 4, 100)} == {1.0}


def test_a_part_without_a_weight_cannot_be_annealed_and_a_course_ends_after_it_begins():
    with pytest.raises(ValueError, match="'format' is annealed and it has none; weigh the part, or watch it"):
        Rubric(
            accuracy=1.0, format=0.0, language=0.0, preference=0.0,
            annealed=(Annealed(part="format", to=1.0, begin=0, end=4),),
        )  # fmt: skip
    with pytest.raises(ValueError, match="'format' moves from step 4 to 4; end later"):
        Annealed(part="format", to=1.0, begin=4, end=4)
