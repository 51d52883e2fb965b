"""Laws of qualifiers: a description of a value's letters is stripped from it, and a condition is not."""

import pytest

from r1_pipeline.rewards.latex import normal
from r1_pipeline.rewards.qualifiers import qualified


@pytest.mark.parametrize(
    ("answer", "value", "of", "low"),
    [
        ("2k, k \\in \\mathbb{Z}", "2k", "Z", ""),
        ("2k\\pi（k∈Z）", "2k\\pi", "Z", ""),
        ("2k, k为整数", "2k", "Z", ""),
        ("2k \\text{ for any positive integer } k", "2k", "N", ""),
        ("2k, k \\in \\mathbb{Z}^+", "2k", "N", ""),
        ("f(x)=ax+b, a,b\\in\\mathbb{R}", "f(x)=ax+b", "R", ""),
        ("x^2 + C, \\text{ where } C \\text{ is an arbitrary constant}", "x^{2} + C", "", ""),
        ("2^{n-1} \\quad (n \\ge 1)", "2^{n-1}", "", "1"),
        ("2^{n-1} \\text{ where } n > 0", "2^{n-1}", "", "1"),
        ("5 \\text{ for all } n", "5", "", ""),
        ("f(x)=c \\text{ for some constant } c", "f(x)=c", "", ""),
        ("(k, 2k), k \\in \\mathbb{N}", "(k, 2k)", "N", ""),
    ],
)
def test_a_qualifier_is_taken_off(answer, value, of, low):
    found = qualified(normal(answer))
    assert (found.value, found.set, found.low) == (value, of, low)


@pytest.mark.parametrize(
    "answer",
    [
        "n^2 \\text{ if } n \\text{ is even}", "\\frac{n}{2} \\text{ for even } n", "5 \\text{ if } x>0",
        "x=1 \\text{ or } x>5", "x>1, x<5", "1, 2, n", "(a, b)", "f(x)", "x=1, y\\in\\mathbb{R}", "5, n \\ge 1",
        "where a is any integer", "x^2 \\text{ for } n", "k\\pi, k = 0, 1, 2",
    ],
)  # fmt: skip
def test_a_condition_a_list_and_another_unknown_stay(answer):
    assert qualified(normal(answer)).value == normal(answer)


def test_two_qualifiers_exclude_each_other_only_where_both_name_something_else():
    integers, naturals, named, later = map(
        qualified, ("2k, k \\in \\mathbb{Z}", "2k, k \\in \\mathbb{N}", "2k \\text{ for any } k", "2k, k \\ge 2")
    )
    assert integers.excludes(naturals) and naturals.excludes(integers)
    assert later.excludes(qualified("2k, k \\ge 1"))
    assert not any(one.excludes(named) or named.excludes(one) for one in (integers, naturals, named, later))
