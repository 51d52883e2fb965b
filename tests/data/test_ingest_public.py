"""The mappings that ship read all public sets; the numbers of rows that fit and that do not are pinned.

Dropped rows are faults of the files: references that are null or empty, NaN in JSON, pairs with an empty reply.
"""

from collections import Counter
from pathlib import Path

import pytest

from r1_pipeline.data.ingest.declared import SourceRecipe, hash_files
from r1_pipeline.data.ingest.mapping import load_mapping
from r1_pipeline.data.ingest.rows import DroppedRow, read_source
from r1_pipeline.recipe import Runtime
from r1_pipeline.records import Problem
from r1_pipeline.rewards.graders import default_grader
from r1_pipeline.rewards.reference_checks import sound_problems

SETS = [
    ("gsm8k/gsm8k_train.parquet", "gsm8k", 7473, {}),
    ("gsm8k/gsm8k_test.parquet", "gsm8k", 1319, {}),
    ("math/math500_test.parquet", "math", 500, {}),
    ("math/math_train_deepscaler.parquet", "math", 7470, {"unmapped": 4}),
    ("math/math_test5000.parquet", "math_solution", 5000, {}),
    ("math/simplerl_level3to5_train.parquet", "question_answer", 8521, {"unmapped": 2}),
    ("competition/aime_1983_2023.parquet", "math", 975, {}),
    ("competition/aime24_test.parquet", "math", 30, {}),
    ("competition/aime24_qwq.parquet", "prompt_answer", 30, {}),
    ("competition/aime25_qwq.parquet", "prompt_answer", 30, {}),
    ("competition/aime25_light_r1.parquet", "math", 30, {}),
    ("competition/amc23_test.parquet", "math", 40, {}),
    ("competition/amc_deepscaler.parquet", "math", 83, {}),
    ("competition/olympiadbench_test.parquet", "olympiadbench", 675, {}),
    ("code/humaneval.parquet", "humaneval", 164, {}),
    ("code/mbpp.parquet", "mbpp", 974, {}),
    ("code/codeforces_deepcoder_test.parquet", "stdin_pairs", 408, {}),
    ("code/livecodebench_stdin_train.parquet", "stdin_pairs", 303, {}),
    ("code/code_contests_test.parquet", "stdin_lists", 165, {}),
    ("instruct/ifeval_input_data.jsonl.gz", "prompt", 541, {}),
    ("instruct/mt_bench_questions.jsonl.gz", "first_turn", 80, {}),
    ("preference/hh_harmless_base_test.parquet", "hh_harmless", 2303, {"unmapped": 9}),
    ("preference/llamafactory_dpo_en_demo.parquet", "dpo_en", 300, {}),
    ("preference/llamafactory_dpo_zh_demo.parquet", "dpo_zh", 300, {}),
    ("preference/llamafactory_kto_en_demo.parquet", "kto", 300, {}),
    ("preference/tulu3_preference_sample.parquet", "message_pairs", 100, {}),
    ("zh/cmath.parquet", "question_answer_zh", 600, {}),
    ("zh/cmath_deepseek.parquet", "cmath", 1098, {}),
    ("zh/cn_middle_school.parquet", "choice_answer_zh", 101, {}),
    ("zh/gaokao2024_I.parquet", "question_answer_zh", 14, {}),
    ("zh/gaokao2024_II.parquet", "question_answer_zh", 14, {}),
    ("zh/gaokao2024_mix.parquet", "choice_answer_zh", 91, {}),
    ("zh/gaokao_math_cloze.parquet", "question_answer_zh", 118, {}),
    ("zh/gaokao_math_qa.parquet", "agieval_zh", 351, {}),
    ("zh/mgsm_zh.parquet", "mgsm_zh", 250, {}),
    ("zh/alpaca_zh_demo.parquet", "alpaca_zh", 1000, {}),
    ("zh/alpaca_en_demo.parquet", "alpaca_en", 1000, {}),
    ("stem/mmlu_stem_dev_val.parquet", "mmlu_columns", 430, {}),
    ("stem/mmlu_stem_test.jsonl.gz", "mmlu", 3008, {"unreadable": 10}),
    ("stem/sat_math.parquet", "sat_math", 32, {}),
    ("stem/aqua_test.parquet", "aqua", 254, {}),
]


def declared(path: Path, mapping: str) -> SourceRecipe:
    return SourceRecipe(
        name="public",
        licence="MIT",
        origin="see SOURCES.md with the data",
        side="heldout",  # benchmarks are among the files, and nothing may be trained on those
        mapping=load_mapping(mapping, path.parent),
        files=hash_files(path.parent, [path.name]),
    )


@pytest.mark.parametrize(("name", "mapping", "fitting", "dropped"), SETS, ids=[name for name, *_ in SETS])
def test_every_row_fits_or_is_set_aside(
    name: str, mapping: str, fitting: int, dropped: dict[str, int], public_data: Path
) -> None:
    rows = list(read_source(declared(public_data / name, mapping), (public_data / name).parent))
    assert Counter(row.reason for row in rows if isinstance(row, DroppedRow)) == dropped
    assert len(rows) - sum(dropped.values()) == fitting


REFERENCES: list[tuple[str, str, dict[str, int]]] = [
    ("gsm8k/gsm8k_test.parquet", "gsm8k", {}),
    ("math/math500_test.parquet", "math", {}),
    ("competition/olympiadbench_test.parquet", "olympiadbench", {}),
    ("zh/gaokao_math_cloze.parquet", "question_answer_zh", {}),
    ("stem/mmlu_stem_test.jsonl.gz", "mmlu", {}),
    ("code/humaneval.parquet", "humaneval", {}),
]
"""Each set with its mapping and the number of references that fail."""


@pytest.mark.slow
@pytest.mark.parametrize(("name", "mapping", "dropped"), REFERENCES, ids=[name for name, *_ in REFERENCES])
def test_references_pass_their_verifiers_but_for_those_that_are_known(
    name: str, mapping: str, dropped: dict[str, int], public_data: Path
) -> None:
    source = declared(public_data / name, mapping)
    problems = [row for row in read_source(source, (public_data / name).parent) if isinstance(row, Problem)]
    with default_grader(Runtime(threads=2)) as grader:
        _, unsound = sound_problems(grader, problems, threads=2)
    assert Counter(row.reason for row in unsound) == dropped
