"""Rows that a profile cannot use are counted before any work, by source, with a remedy."""

import json
from collections.abc import Iterable
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from dagster_defs.cli import app
from r1_pipeline.data.ingest.declared import read_sources
from r1_pipeline.errors import RequirementError, SourceError
from r1_pipeline.home import DEFAULT_PROFILE, OWN_DATA_PROFILE, HomeSettings
from r1_pipeline.profiles import PROFILES, Profile, load_profile
from r1_pipeline.profiles.own_data import fit_of, require_fit
from r1_pipeline.profiles.sources import with_sources

ALL = '"math", "code", "stem", "logic", "general", "preference"'
SHORT = [{"question": f"What is {n} + {n}?", "answer": f"It is twice {n}.\n#### {2 * n}"} for n in range(1, 41)]
LONG = [
    {"question": f"Weng earns {n} dollars an hour. " * 20, "answer": f"She earns {n}.\n#### {n}"} for n in range(1, 31)
]
DEMONSTRATIONS = [{"instruction": f"Name {n} colours.", "input": "", "output": "Red."} for n in range(1, 9)]
PAIRS = [
    {
        "conversations": [{"from": "human", "value": f"Hi {n}"}],
        "chosen": {"value": "Hello."},
        "rejected": {"value": "x"},
    }
    for n in range(1, 41)
]


def profile_with(
    folder: Path, builtin: str, name: str = "smoke", **sources: tuple[Iterable[object] | Path, str]
) -> Profile:
    """Returns the profile with these sources: name -> its rows or its file, and the rest of its table."""
    entries = [f"builtin = [{builtin}]\n"]
    for source, (rows, table) in sources.items():
        file = rows if isinstance(rows, Path) else folder / f"{source}.jsonl"
        if not isinstance(rows, Path):
            file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        licence = "" if "licence" in table else 'licence = "MIT"\n'
        side = "" if "side" in table else 'side = "split"\n'
        entries.append(f'[[source]]\nname = "{source}"\npath = "{file}"\norigin = "here"\n{licence}{side}{table}\n')
    (folder / "sources.toml").write_text("\n".join(entries), encoding="utf-8")
    return with_sources(load_profile(name, 0), read_sources(folder / "sources.toml"))


def test_rows_that_do_not_fit_are_counted_by_source_and_side_and_stop_nothing(tmp_path: Path) -> None:
    fit = fit_of(profile_with(tmp_path, ALL, mine=([*SHORT, *LONG], 'mapping = "gsm8k"')))
    trained, held = (int(part.split()[0]) for part in fit.sources["mine"].removeprefix("math, ").split(" and ")[:2])
    assert trained + held == len(SHORT) + len(LONG)
    unfit = fit.sources["mine"].partition("left out are ")[2].split(":")[0].split(" and ")
    assert sum(map(int, unfit)) == len(LONG)
    assert fit.sources["mine"].endswith(": prompt and a reply of up to 64 tokens, of 128 in all")
    assert fit.stops == ()
    assert fit.notes == ("its gates on what was learned only warn: its bases know the built-in problems alone",)


def test_everything_that_would_stop_a_run_is_said_at_once(tmp_path: Path) -> None:
    profile = profile_with(
        tmp_path,
        '"preference"',
        sums=(LONG, 'mapping = "gsm8k"'),
        colours=(DEMONSTRATIONS, 'mapping = "alpaca_demonstrations_en"\nside = "heldout"\nlicence = "MIT"'),
        others=(SHORT, 'mapping = "gsm8k"\nlicence = "CC-BY-NC-4.0"'),
    )
    with pytest.raises(SourceError) as refused:
        require_fit("smoke", fit_of(profile))
    said = str(refused.value)
    assert said.startswith("profile smoke cannot run with these sources: (1) ")
    for part in (
        "solve none of your problems, so nothing can be learned from them; add built-in reasoning problems (builtin)",
        "no demonstration is on the training side, which general_traces needs",
        'no general rows are left to train on, which r1 needs; set side = "split" for a source of them, or add',
        "others has the licence CC-BY-NC-4.0, which the gate licences_allowed of sft_corpus rejects",
    ):
        assert said.count(part) == 1, said
    assert "\n" not in said


def test_rows_of_which_none_fits_stop_the_run_with_their_number(tmp_path: Path) -> None:
    fit = fit_of(profile_with(tmp_path, '"general", "preference"', sums=(LONG, 'mapping = "gsm8k"')))
    [trained, held] = [stop for stop in fit.stops if "reasoning rows" in stop]
    train, heldout = (int(part.split()[0]) for part in fit.sources["sums"].removeprefix("math, ").split(" and ")[:2])
    assert trained.startswith("no reasoning rows are left to train on, which ")
    assert f"too long are sums {train}: prompt and a reply of up to 64 tokens, of 128 in all; take a profile" in trained
    assert f"too long are sums {heldout}:" in held


def test_pairs_that_are_too_long_are_counted_and_a_kind_without_pairs_stops_the_run(tmp_path: Path) -> None:
    long = [{**pair, "chosen": {"value": "Hello. " * 200}} for pair in PAIRS]
    fit = fit_of(profile_with(tmp_path, '"math", "general"', likes=([*PAIRS, *long], 'mapping = "dpo_en"')))
    assert fit.sources["likes"].endswith(": prompt and the longer reply of up to 128 tokens in all")
    assert [stop.split(",")[0] for stop in fit.stops] == [
        "no safety preference rows are left to train on",
        "no safety preference rows are left held out",
    ]


def test_a_part_of_the_graph_needs_only_what_it_reads(tmp_path: Path) -> None:
    profile = profile_with(tmp_path, '"general", "preference"', sums=(LONG, 'mapping = "gsm8k"'))
    assert fit_of(profile).stops
    assert fit_of(profile, {"reasoning_problems", "heldout_problems"}).stops == ()


def test_a_profile_without_sources_says_nothing_and_keeps_its_graph() -> None:
    profile = load_profile("smoke", 0)
    fit = fit_of(profile)
    assert (fit.sources, fit.notes, fit.stops) == ({}, (), ())


def test_gates_on_success_warn_where_a_toy_base_meets_other_problems_and_gates_on_soundness_stay(
    tmp_path: Path,
) -> None:
    own = profile_with(tmp_path, ALL, mine=(SHORT, 'mapping = "gsm8k"')).graph
    for before, after in zip(load_profile("smoke", 0).graph, own, strict=True):
        assert [check.name for check in before.checks] == [check.name for check in after.checks]
        assert all(check.warns for check in after.checks if check.quality)
        assert [c.warns for c in before.checks if not c.quality] == [c.warns for c in after.checks if not c.quality]


def test_public_sets_are_compared_with_a_toy_profile(tmp_path: Path, public_data: Path) -> None:
    """The rows of GSM8K's training file are 7,473, of MBPP's 974; MBPP has three tests and a function in a prompt."""
    profile = profile_with(
        tmp_path,
        ALL,
        gsm8k=(public_data / "gsm8k/gsm8k_train.parquet", 'mapping = "gsm8k"'),
        mbpp=(public_data / "code/mbpp.parquet", 'mapping = "mbpp"\nlicence = "CC-BY-4.0"'),
        mmlu=(public_data / "stem/mmlu_stem_dev_val.parquet", 'mapping = "mmlu_columns"'),
        hh=(public_data / "preference/hh_harmless_base_test.parquet", 'mapping = "hh_harmless"'),
    )
    fit = fit_of(profile)
    assert fit.stops == ()
    assert fit.sources["gsm8k"].startswith(
        "math, 5572 rows to train on and 1901 held out; too long and left out are 5541 and 1893:"
    )
    assert sum(int(word) for word in fit.sources["mbpp"].split(";")[0].split() if word.isdigit()) == 974
    assert all("; too long and left out are " in line for line in fit.sources.values())
    assert pl.read_parquet(public_data / "gsm8k/gsm8k_train.parquet").height == 7473


def test_a_kind_without_rows_names_the_file_and_line_of_the_first_that_was_dropped(tmp_path: Path) -> None:
    rows = [{"instruction": "Name a colour.", "input": "", "output": "Red."}] * 2
    profile = profile_with(
        tmp_path, '"math", "preference"', mine=(rows, 'mapping = "alpaca_demonstrations_en"\nside = "train"')
    )
    [stop] = fit_of(profile).stops
    assert stop.startswith("no general rows are left held out, which answers/base and ")
    assert 'mine/mine.jsonl:2 was dropped: the same as mine/mine.jsonl:1; correct it, set side = "split"' in stop


@pytest.mark.parametrize(
    ("named", "sources", "profile"),
    [(None, "", "tiny"), (None, "mine.toml", "laptop"), ("smoke", "mine.toml", "smoke")],
)
def test_own_data_go_to_the_profile_of_a_real_base_where_none_is_named(
    named: str | None, sources: str, profile: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"R1_HOME": str(tmp_path), "R1_SOURCES": sources, "R1_RECIPE": "", "R1_PROFILE": named}.items():
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    assert HomeSettings.from_environment().profile == profile
    assert {DEFAULT_PROFILE, OWN_DATA_PROFILE} <= set(PROFILES)


def test_r1_run_says_in_one_line_which_profile_own_data_go_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without the wheels of laptop's models the run then ends, with the command that gets them."""
    profile_with(tmp_path, ALL, mine=(SHORT, 'mapping = "gsm8k"'))
    for name in ("R1_PROFILE", "R1_SOURCES", "R1_RECIPE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("R1_HOME", str(tmp_path / "home"))
    ran = CliRunner().invoke(app, ["run", "--sources", str(tmp_path / "sources.toml")])
    assert isinstance(ran.exception, RequirementError)
    said = ran.stdout + capsys.readouterr().out
    assert "no profile is named and sources.toml has your own data: laptop (see r1 plan)" in said
