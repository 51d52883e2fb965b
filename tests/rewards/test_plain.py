"""Plain notation is spelled as LaTeX, words stay words, and letters in another order are another answer."""

import golden_lock as lock
import pytest

from r1_pipeline.records import Outcome
from r1_pipeline.rewards.answer_extraction import final_answer
from r1_pipeline.rewards.latex import normal
from r1_pipeline.rewards.maths import MathsVerifier
from r1_pipeline.rewards.plain import _CALLED, _FUNCTIONS, greek_pair, spelled

SYMMETRIC = ("plain notation", "identity where every part is real", "no identity of real functions")


@pytest.fixture(scope="module")
def maths():
    verifier = MathsVerifier(workers=1)
    yield verifier
    verifier.close()


@pytest.mark.parametrize(
    ("typed", "latex"),
    [
        ("7*sin(pi*x/5)+1", "7*\\sin (\\pi *x/5)+1"),
        ("sqrt(1+sqrt(2))", "\\sqrt{1+\\sqrt{2}}"),
        ("x^(y^(z))", "x^{y^{z}}"),
        ("2^-(n+1)", "2^{-(n+1)}"),
        ("binomial(n, k)", "\\binom{n}{ k}"),
        ("binomial(n, k, 1)", "\\binom(n, k, 1)"),
        ("abs(abs(x)-1)", "||x|-1|"),
        ("factorial(n-1)", "(n-1)!"),
        ("floor(n/2)", "\\lfloor n/2 \\rfloor "),
        ("log2(3)", "\\log_{2}(3)"),
        ("nlogn", "n \\log n "),
        ("sin(x", "\\sin (x"),
        ("(-oo, 3]", "(-\\infty , 3]"),
        ("\\text{sin} x", "\\sin  x"),
    ],
)
def test_typed_mathematics_becomes_latex(typed, latex):
    assert spelled(typed) == latex


@pytest.mark.parametrize(
    "text",
    [
        "5 min", "30 sec", "9.8 m/sec^2", "tan", "max", "no maximum", "alpha particle", "cost", "x_max", "ins(x)",
        "a beta test", "\\text{ min}", "\\begin{pmatrix} 1 \\end{pmatrix}", "mu", "\\sin x", "using", "stand",
    ],
)  # fmt: skip
def test_words_units_and_products_stay(text):
    assert spelled(text) == text


def test_letters_of_a_function_in_another_order_are_another_answer(maths, problem):
    names = [*_FUNCTIONS, *_CALLED]
    assert len(names) > 50
    for name in names:
        turned = name[::-1] if name[::-1] not in names else name[1:] + name[0]
        assert maths.judge(problem(f"{name}(x)"), f"\\boxed{{{turned}(x)}}").outcome is Outcome.WRONG, name


def test_two_letter_greek_names_are_greek_beside_the_letter_only():
    assert greek_pair("\\mu g", "mu g") == ("\\mu g", "\\mu  g")
    assert greek_pair("mu g", "um g") == ("mu g", "um g")


def test_latex_that_was_spelled_stays_as_it_is():
    for case in lock.cases():
        once = normal(case["reference"] or "")
        assert spelled(once) == once, case


def test_it_does_not_matter_on_which_side_a_notation_stands(maths, problem):
    cases = [case for case in lock.cases() if case["reason"] in SYMMETRIC]
    assert len(cases) > 200
    for case in cases:
        answer = final_answer(case["answer"], normal).answer
        turned = maths.judge(problem(answer), f"\\boxed{{{case['reference']}}}")
        assert turned.outcome.value == case["outcome"], (case, turned.detail)
