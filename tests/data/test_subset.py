"""A random subset is fair whatever the order of the file, and steady when the file grows."""

from r1_pipeline.data.subset import shuffled
from r1_pipeline.data.toy_problems import ProblemsRecipe, generate_problems
from r1_pipeline.records import Problem

RECIPE = ProblemsRecipe(
    seed=0,
    sums=(0, 40),
    programs=40,
    products=40,
    digits=1,
    largest_sum=18,
    largest_factor=9,
    turns=2,
    heldout_share=0.2,
)
PROBLEMS = generate_problems(RECIPE)


def of(domain: str) -> list[Problem]:
    return [problem for problem in PROBLEMS if problem.domain == domain]


def test_the_order_of_the_file_does_not_matter() -> None:
    assert shuffled(PROBLEMS[::-1]) == shuffled(PROBLEMS)
    assert sorted(p.id for p in shuffled(PROBLEMS)) == sorted(p.id for p in PROBLEMS)


def test_one_problem_more_moves_no_other() -> None:
    without = [problem for problem in PROBLEMS if problem is not PROBLEMS[7]]
    assert [p for p in shuffled(PROBLEMS) if p is not PROBLEMS[7]] == shuffled(without)


def test_a_draw_from_an_ordered_file_holds_every_part_of_it() -> None:
    """General prompts are stored by kind, the harmful ones last: the first 64 contained none of those."""
    prompts = of("general")
    kinds = [p.source.rpartition("#")[2].split()[0] for p in prompts]
    assert kinds == sorted(kinds, key=kinds.index)
    share = kinds.count("harm") / len(kinds)
    drawn = [p.source.rpartition("#")[2].split()[0] for p in shuffled(prompts)[:64]]
    assert drawn.count("harm") / 64 > share / 2
