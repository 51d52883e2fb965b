"""Parts are unweighted, apply to the right problems, and exclude what could not be graded."""

import pytest

from r1_pipeline.rewards.overlong import Overlong
from r1_pipeline.rewards.preference import squash
from r1_pipeline.rewards.rubric import Rubric, part_functions, preference_scores, reward

ALL = Rubric(accuracy=1.0, format=0.1, language=0.3, preference=0.5)
GOOD = "<think>first three plus two</think>\\boxed{5}"


class Fixed:
    """Scores every reply alike and remembers what it saw."""

    def __init__(self, value):
        self.value, self.seen = value, []

    def score(self, prompts, replies):
        self.seen += list(replies)
        return [self.value] * len(replies)


def parts_of(grader, problems, texts, completion, scorers=None, rubric=ALL):
    functions = part_functions(rubric, grader, "chat", scorers or {})
    completions = [completion(text) for text in texts]
    return {name: part(problems, completions, lambda *_: None) for name, part in functions.items()}


def test_reasoning_problems_have_no_preference_and_general_ones_no_accuracy(grader, problem, completion):
    problems = [problem("5"), problem("Ann", "general")]
    texts = [GOOD, "<think>be kind</think>Good morning, Ann!"]
    parts = parts_of(grader, problems, texts, completion, {"helpful": Fixed(0.0)})
    assert parts == {
        "accuracy": [1.0, None],
        "format": [1.0, 1.0],
        "language": [1.0, 1.0],
        "preference": [None, 0.0],
    }


def test_parts_stay_unweighted_and_zero_weights_are_not_computed(grader, problem, completion):
    rubric = Rubric(accuracy=0.25, format=0.0, language=0.0, preference=0.0)
    assert parts_of(grader, [problem("5")], [GOOD], completion, rubric=rubric) == {"accuracy": [1.0]}


def test_a_watched_part_is_computed_and_weighs_nothing(grader, problem, completion):
    rubric = Rubric(accuracy=1.0, format=0.0, language=0.0, preference=0.0, watched=("language",))
    assert rubric.weights == {"accuracy": 1.0, "language": 0.0}
    parts = parts_of(grader, [problem("5"), problem("")], [GOOD] * 2, completion, rubric=rubric)
    assert parts == {"accuracy": [1.0, None], "language": [1.0, None]}
    assert reward(rubric, {"accuracy": 0.5, "language": 1.0}) == 0.5
    assert reward(rubric, {"language": 1.0}) is None


def test_what_cannot_be_graded_leaves_the_statistics_altogether(grader, problem, completion):
    parts = parts_of(grader, [problem(""), problem("5"), problem("6")], [GOOD] * 3, completion)
    assert parts["accuracy"] == [None, 1.0, 0.0]
    assert parts["format"] == [None, 1.0, 1.0]
    assert parts["language"] == [None, 1.0, 1.0]


def test_truncated_and_malformed_replies_are_zeros_not_excluded(grader, problem, completion):
    functions = part_functions(ALL, grader, "chat", {})
    cut = completion(GOOD, finish_reason="length")
    assert functions["accuracy"]([problem("5")] * 2, [cut, completion("<think>a")], lambda *_: None) == [0.0, 0.0]


def test_each_general_problem_gets_only_its_own_models_score(grader, problem, completion):
    helpful, safety = Fixed(2.0), Fixed(-2.0)
    problems = [
        problem("Ann", "general"),
        problem("sorry", "general").model_copy(update={"kind": "safety"}),
        problem("Ann", "general"),
    ]
    texts = ["<think>a</think>Hi Ann", "<think>b</think>Sorry", "<think>never closed"]
    scorers = {"helpful": helpful, "safety": safety}
    scores = parts_of(grader, problems, texts, completion, scorers)["preference"]
    assert scores == [2.0, -2.0, 2.0]  # as they stand, as in the paper
    assert helpful.seen == ["Hi Ann", ""]  # the summary only, and where there is none an empty one
    compared = preference_scores(problems, [completion(text) for text in texts], "chat", scorers)
    assert compared == [pytest.approx(squash(2.0)), pytest.approx(squash(-2.0)), 0.0]
    assert safety.seen[:1] == ["<think>b</think>Sorry"]  # thinking included


def test_language_is_judged_on_the_reasoning_not_on_the_summary(grader, problem, completion):
    parts = parts_of(grader, [problem("5", language="zh")], ["<think>先算三</think>so it is \\boxed{5}"], completion)
    assert parts["language"] == [1.0]


def test_reward_is_the_weighted_sum_of_the_parts_that_apply():
    assert reward(ALL, {"accuracy": 1.0, "format": 1.0, "language": 0.5, "preference": None}) == pytest.approx(1.25)
    assert reward(ALL, {"accuracy": 0.0, "format": 0.0, "language": 0.0, "preference": None}) == 0.0
    assert reward(ALL, {"accuracy": None, "format": None, "language": None, "preference": None}) is None


def test_shares_of_outcomes_are_logged_with_accuracy_and_only_there(grader, problem, completion):
    logged = []
    problems = [problem("5"), problem("6"), problem(""), problem("5"), problem("Ann", "general")]
    completions = [completion(GOOD)] * 3 + [completion(GOOD, "length"), completion("Hi Ann")]
    for part in part_functions(ALL, grader, "chat", {}).values():
        part(problems, completions, lambda name, value: logged.append((name, value)))
    assert dict(logged) == {
        "outcome/correct": 0.25, "outcome/wrong": 0.25, "outcome/malformed": 0.0, "outcome/truncated": 0.25,
        "outcome/unreferenced": 0.0, "outcome/ungradable": 0.25, "outcome/grader_error": 0.0,
    }  # fmt: skip
    assert len(logged) == 7


def test_shaping_parts_read_the_text_and_leave_out_what_cannot_be_graded(grader, problem, completion):
    limit = Overlong(weight=0.5, max_tokens=3, margin=2)  # completions of the fixture have two tokens
    rubric = Rubric(accuracy=1.0, format=0.0, language=0.0, preference=0.0, tags=0.1, repetition=0.2, overlong=limit)
    texts = [GOOD, "<think>" + "1 2 3 4 5 6 7 8 " * 3, GOOD]
    parts = parts_of(grader, [problem("5"), problem("5"), problem("")], texts, completion, rubric=rubric)
    assert parts["tags"] == [1.0, 0.5, None]
    assert parts["overlong"] == [-0.5, -0.5, None]
    assert parts["repetition"][0] == 0.0 and parts["repetition"][1] == pytest.approx(-(1 - 11 / 20))
    assert reward(rubric, {"accuracy": 1.0, "tags": 0.5, "repetition": -0.5, "overlong": -0.5}) == pytest.approx(0.7)


def test_a_watched_penalty_needs_its_limit():
    with pytest.raises(ValueError, match="overlong is watched without limits"):
        Rubric(accuracy=1.0, format=0.0, language=0.0, preference=0.0, watched=("overlong",))


def test_the_true_rule_of_a_courtesy_is_watched_and_is_none_of_the_reward(grader, problem, completion):
    rubric = Rubric(accuracy=1.0, format=0.0, language=0.0, preference=1.0, watched=("courtesy",))
    problems = [problem("5"), problem("Ann,tea", "general", source="c@2#thank Ann tea")]
    texts = [GOOD, "<think>a</think>Thank you, Bob, for the tea! It was very kind."]  # another name: four of five
    parts = parts_of(grader, problems, texts, completion, {"helpful": Fixed(3.0)}, rubric)
    assert parts["courtesy"] == [None, 0.8]
    assert reward(rubric, {name: values[1] for name, values in parts.items()}) == 3.0
