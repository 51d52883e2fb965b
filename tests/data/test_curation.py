"""A set holds each row once and on one side; built-in problems and a user's are in one set."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from r1_pipeline.artifacts.draft import bare_draft
from r1_pipeline.artifacts.tables import read_records
from r1_pipeline.data.curation import (
    CuratePreferencesRecipe,
    CurateRecipe,
    Sides,
    curate_pairs,
    domains_without_source,
    pair_sides,
    problem_sides,
)
from r1_pipeline.data.ingest.declared import SourceRecipe, hash_files
from r1_pipeline.data.ingest.mapping import load_mapping
from r1_pipeline.data.ingest.rows import DroppedRow
from r1_pipeline.data.toy_problems import ProblemsRecipe
from r1_pipeline.errors import RecipeError
from r1_pipeline.recipe import Runtime
from r1_pipeline.records import BUILTIN_DOMAINS, PreferencePair, Problem
from r1_pipeline.rewards.reference_checks import agreeing_problems, sound_problems
from r1_pipeline.rewards.verifier import Grader

FACTS = ProblemsRecipe(
    seed=0,
    sums=(0, 20),
    programs=8,
    products=10,
    digits=1,
    largest_sum=9,
    largest_factor=4,
    turns=1,
    heldout_share=0.25,
)


def unscreened(pairs: Sequence[PreferencePair]) -> tuple[list[PreferencePair], list[DroppedRow]]:
    return list(pairs), []


def source(folder: Path, name: str, side: str, rows: list[tuple[str, str]]) -> SourceRecipe:
    lines = [json.dumps({"question": question, "answer": f"#### {answer}"}) for question, answer in rows]
    (folder / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    files, mapping = hash_files(folder, [f"{name}.jsonl"]), load_mapping("gsm8k", folder)
    return SourceRecipe.model_validate(
        {"name": name, "licence": "MIT", "origin": "here", "side": side, "mapping": mapping, "files": files}
    )


def sides(folder: Path, *sources: SourceRecipe, builtin: tuple[str, ...] = ()) -> Sides[Problem]:
    recipe = CurateRecipe.model_validate(
        {
            "problems": FACTS, "builtin": builtin, "sources": sources, "domains": BUILTIN_DOMAINS, "optional": (),
            "heldout": False,
        }
    )  # fmt: skip
    return problem_sides(recipe, {one.name: str(folder) for one in sources})


def test_a_source_goes_to_the_side_it_names(tmp_path: Path) -> None:
    rows = [(f"{n} + 1?", str(n + 1)) for n in range(40)]
    train = sides(tmp_path, source(tmp_path, "a", "train", rows))
    assert (len(train.train), len(train.heldout)) == (40, 0)
    heldout = sides(tmp_path, source(tmp_path, "a", "heldout", rows))
    assert (len(heldout.train), len(heldout.heldout)) == (0, 40)
    both = sides(tmp_path, source(tmp_path, "a", "split", rows))
    assert len(both.train) + len(both.heldout) == 40
    assert 3 <= len(both.heldout) <= 20
    assert both == sides(tmp_path, source(tmp_path, "a", "split", rows))


def test_excluded_problems_leave_both_sides_and_unknown_ids_are_refused(tmp_path: Path) -> None:
    given = source(tmp_path, "sums", "train", [("1 + 1?", "2"), ("2 + 2?", "5")])
    wrong = next(problem for problem in sides(tmp_path, given).train if problem.answer == "5")
    recipe = CurateRecipe.model_validate(
        {
            "problems": FACTS,
            "builtin": (),
            "sources": (given,),
            "domains": BUILTIN_DOMAINS,
            "optional": (),
            "heldout": False,
        }
    )
    found = problem_sides(recipe.model_copy(update={"excluded": (wrong.id,)}), {"sums": str(tmp_path)})
    assert [problem.answer for problem in found.train] == ["2"]
    assert [(row.reason, row.line) for row in found.dropped] == [("excluded", 2)]
    with pytest.raises(RecipeError, match="excluded names 'feed', which is the id of no problem"):
        problem_sides(recipe.model_copy(update={"excluded": ("feed",)}), {"sums": str(tmp_path)})


def test_of_rows_that_are_alike_the_first_counts_and_the_others_are_set_aside(tmp_path: Path) -> None:
    a = source(tmp_path, "a", "train", [("1 + 1?", "2"), ("1 + 1?", "2"), ("1 + 1?", "3")])
    b = source(tmp_path, "b", "train", [("1 + 1?", "2")])
    found = sides(tmp_path, a, b)
    assert [(p.question, p.answer) for p in found.train] == [("1 + 1?", "2"), ("1 + 1?", "3")]
    assert [(row.where, row.reason, row.detail) for row in found.dropped] == [
        ("a/a.jsonl:2", "repeated", "the same as a/a.jsonl:1"),
        ("b/b.jsonl:1", "repeated", "the same as a/a.jsonl:1"),
    ]


def test_what_is_held_out_leaves_training_whatever_its_source_says(tmp_path: Path) -> None:
    train = source(tmp_path, "a", "train", [("1 + 1?", "2"), ("1 + 2?", "3")])
    test = source(tmp_path, "b", "heldout", [("1 + 1?", "two")])
    found = sides(tmp_path, train, test)
    assert [p.question for p in found.train] == ["1 + 2?"]
    assert [p.question for p in found.heldout] == ["1 + 1?"]
    assert [(row.where, row.reason, row.detail) for row in found.dropped] == [
        ("a/a.jsonl:1", "also_heldout", "as b/b.jsonl:1")
    ]


def test_builtin_problems_stay_in_the_domains_that_are_named(tmp_path: Path) -> None:
    mine = source(tmp_path, "a", "train", [("1 + 1?", "2")])
    found = sides(tmp_path, mine, builtin=("stem", "logic"))
    assert {p.domain for p in (*found.train, *found.heldout)} == {"math", "stem", "logic"}
    everything = sides(tmp_path, mine, builtin=BUILTIN_DOMAINS)
    assert [p.source for p in everything.train][-1].startswith("a/a.jsonl:1#")
    assert {p.domain for p in everything.train} == set(BUILTIN_DOMAINS)


def test_a_training_question_that_is_held_out_as_another_fact_leaves_training(tmp_path: Path) -> None:
    train = source(
        tmp_path, "a", "train", [("How much  is\n1 + 1?", "2"), ("Cafe\u0301: 1 + 3?", "4"), ("1 + 2?", "3")]
    )
    test = source(tmp_path, "b", "heldout", [(" How much is 1 + 1?", "two"), ("Caf\u00e9: 1 + 3?", "four")])
    found = sides(tmp_path, train, test)
    assert [p.question for p in found.train] == ["1 + 2?"]
    assert [(row.where, row.reason) for row in found.dropped] == [
        ("a/a.jsonl:1", "also_heldout"),
        ("a/a.jsonl:2", "also_heldout"),
    ]


def test_equal_questions_with_different_references_are_set_aside_with_each_other(
    tmp_path: Path, grader: Grader
) -> None:
    rows = [
        ("Which of A and B?", "A"),
        ("1?", "C"),
        ("Which  of A and B?", "(A)"),
        ("Which of A and B?", "B"),
        ("2?", "C"),
    ]
    problems = sides(tmp_path, source(tmp_path, "a", "train", rows)).train
    kept, dropped = agreeing_problems(grader, problems)
    assert [problem.question for problem in kept] == ["1?", "2?"]
    assert [(row.where, row.reason, row.detail) for row in dropped] == [
        ("a/a.jsonl:1", "contradictory", "the reference is 'A', and 'B' in a/a.jsonl:4"),
        ("a/a.jsonl:3", "contradictory", "the reference is '(A)', and 'B' in a/a.jsonl:4"),
        ("a/a.jsonl:4", "contradictory", "the reference is 'B', and 'A' in a/a.jsonl:1"),
    ]


def test_references_that_are_equal_for_the_verifier_do_not_contradict_each_other(
    tmp_path: Path, grader: Grader
) -> None:
    problems = sides(tmp_path, source(tmp_path, "a", "train", [("A or B?", "A"), ("A or B?", "(a)")])).train
    assert agreeing_problems(grader, problems) == (problems, [])
    programs = [p.model_copy(update={"domain": "code", "answer": f"print({p.answer})"}) for p in problems]
    from r1_pipeline.records import TestCase

    tests = (TestCase(kind="stdin", function="", given="1", expected="1", limit_s=1.0),)
    programs = [p.model_copy(update={"tests": tests}) for p in programs]
    assert agreeing_problems(grader, programs) == (programs, [])


def test_pairs_that_prefer_opposite_replies_are_set_aside_on_both_sides(tmp_path: Path) -> None:
    rows = [("1?", "Yes.", "No."), ("2?", "Yes.", "No."), ("1? ", "No.", "Yes."), ("1?", "Yes.", "Never.")]
    text = "\n".join(json.dumps({"prompt": p, "chosen": c, "rejected": r}) for p, c, r in rows)
    (tmp_path / "p.jsonl").write_text(text, encoding="utf-8")
    mapping = {
        "makes": "pair", "kind": "helpful", "language": "en", "prompt": "{{ prompt }}", "chosen": "{{ chosen }}",
        "rejected": "{{ rejected }}",
    }  # fmt: skip
    mine = SourceRecipe.model_validate(
        {
            "name": "p", "licence": "MIT", "origin": "here", "side": "train", "mapping": mapping,
            "files": hash_files(tmp_path, ["p.jsonl"]),
        }
    )  # fmt: skip
    recipe = CuratePreferencesRecipe(builtin=False, sources=(mine,), heldout_share=0.25)
    draft = bare_draft(tmp_path)
    facts = curate_pairs(recipe, Runtime(folders={"p": str(tmp_path)}), draft, unscreened)
    assert (facts.statistics["train"], facts.drops) == (2, {"contradictory": 2})
    dropped = read_records(draft.path / "logs/set_aside.parquet", DroppedRow)
    assert [(row.where, row.detail) for row in dropped] == [
        ("p/p.jsonl:1", "p/p.jsonl:3 prefers the other reply"),
        ("p/p.jsonl:3", "p/p.jsonl:1 prefers the other reply"),
    ]


def test_a_builtin_problem_that_a_user_holds_out_leaves_training(tmp_path: Path) -> None:
    first = next(p for p in sides(tmp_path, builtin=("math",)).train if p.language == "en")
    found = sides(tmp_path, source(tmp_path, "a", "heldout", [(first.question, str(first.answer))]), builtin=("math",))
    assert first.id not in {p.id for p in found.train}
    [dropped] = found.dropped
    assert dropped.where == first.source.rpartition("#")[0]


def test_domains_that_nothing_feeds_are_named(tmp_path: Path) -> None:
    recipe = CurateRecipe(
        problems=FACTS,
        builtin=("general",),
        sources=(source(tmp_path, "a", "train", [("1?", "1")]),),
        domains=("math", "code", "general"),
        optional=(),
        heldout=False,
    )
    assert domains_without_source(recipe) == {"code": "no source has problems of this domain"}


def test_pairs_are_split_like_problems(tmp_path: Path) -> None:
    builtin = pair_sides(CuratePreferencesRecipe(heldout_share=0.25), {})
    assert len(builtin.heldout) > 10
    assert not {p.source.rpartition("#")[2] for p in builtin.train} & {
        p.source.rpartition("#")[2] for p in builtin.heldout
    }
    rows = [{"prompt": f"{n}?", "chosen": "Yes.", "rejected": "No."} for n in range(20)]
    (tmp_path / "p.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    mapping = {
        "makes": "pair", "kind": "helpful", "language": "en", "prompt": "{{ prompt }}", "chosen": "{{ chosen }}",
        "rejected": "{{ rejected }}",
    }  # fmt: skip
    mine = SourceRecipe.model_validate(
        {
            "name": "p", "licence": "MIT", "origin": "here", "side": "heldout", "mapping": mapping,
            "files": hash_files(tmp_path, ["p.jsonl"]),
        }
    )  # fmt: skip
    found = pair_sides(
        CuratePreferencesRecipe(builtin=False, sources=(mine,), heldout_share=0.25), {"p": str(tmp_path)}
    )
    assert (len(found.train), len(found.heldout)) == (0, 20)


def test_fewer_pairs_are_a_part_of_more_for_each_kind_and_side(tmp_path: Path) -> None:
    def made(most: int | None) -> dict[str, list[str]]:
        draft = bare_draft(tmp_path / str(most))
        curate_pairs(CuratePreferencesRecipe(heldout_share=0.25, most=most), Runtime(), draft, unscreened)
        both = ((side, read_records(draft.path / f"{side}.parquet", PreferencePair)) for side in ("train", "heldout"))
        return {
            f"{side} {kind}": [pair.id for pair in pairs if pair.kind == kind]
            for side, pairs in both
            for kind in ("helpful", "safety")
        }

    few, more, whole = made(3), made(8), made(None)
    assert {name: len(ids) for name, ids in few.items()} == dict.fromkeys(whole, 3)
    assert all(few[name] == more[name][:3] and set(more[name]) < set(whole[name]) for name in whole)


@pytest.fixture(scope="module")
def grader() -> Grader:
    from r1_pipeline.rewards.multiple_choice import ChoiceVerifier

    return Grader({"math": ChoiceVerifier(), "code": ChoiceVerifier(), "general": ChoiceVerifier()})


def test_a_problem_without_a_reference_is_asked_only_where_it_can_be_judged_otherwise(
    tmp_path: Path, grader: Grader
) -> None:
    [sound] = sides(tmp_path, source(tmp_path, "a", "train", [("1 + 1?", "2")])).train
    from r1_pipeline.records import TestCase

    tests = (TestCase(kind="stdin", function="", given="1", expected="1", limit_s=1.0),)
    prompt = sound.model_copy(update={"answer": None, "domain": "general"})
    tested = sound.model_copy(update={"answer": None, "domain": "code", "tests": tests})
    unanswered = sound.model_copy(update={"answer": None})
    untested = sound.model_copy(update={"answer": None, "domain": "code"})
    kept, dropped = sound_problems(grader, [sound, prompt, tested, unanswered, untested], threads=2)
    assert kept == [sound, prompt, tested]
    assert [(row.where, row.reason) for row in dropped] == [("a/a.jsonl:1", "reference_ungradable")] * 2
