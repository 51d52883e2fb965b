"""Laws of reference checks: curation reads references in the forms that data sets use."""

from r1_pipeline.rewards.reference_checks import agreeing_problems, sound_problems


def test_a_reference_without_a_value_is_set_aside_with_its_reason_and_a_solution_is_kept(grader, problem):
    nothing = ["1/(1-1)", "0^{-1}", "See the figure.", "We have no closed form; see the figure.", "\\boxed{}"]
    stated = ["5", "So the sum is \\[ \\boxed{4217} \\]", "She has 3 + 2 of them.\n#### 5", "\\boxed{1} and \\boxed{2}"]
    letters = [problem(reference, "stem") for reference in ("\\boxed{B}", "C. red", "It cools.\nAnswer: D")]
    kept, dropped = sound_problems(grader, [problem(each) for each in (*nothing, *stated)] + letters, threads=2)
    assert [each.answer for each in kept] == [*stated, *(each.answer for each in letters)]
    assert [row.reason for row in dropped] == ["reference_ungradable"] * len(nothing)


def test_a_solution_and_its_answer_do_not_contradict_each_other(grader, problem):
    alike = [problem(reference, source=f"hand#{n}") for n, reference in enumerate(("5", "So we get $\\boxed{5}$."))]
    assert agreeing_problems(grader, alike) == (alike, [])
    other = [problem(reference, source=f"hand#{n}") for n, reference in enumerate(("5", "So we get $\\boxed{6}$."))]
    assert agreeing_problems(grader, other)[0] == []
