"""The DeepSeek-R1 recipe as a library: nouns, verbs, the graph, the grader and the screener.

    from pathlib import Path
    import r1_pipeline as r1

    rows = [{"id": 1, "domain": "math", "answer": "So it is \\\\boxed{4}.", "reference": "4"}]
    [verdict] = r1.grade_rows(rows)
    r1.run_graph(r1.DEEPSEEK_R1, r1.load_profile("smoke", seed=0), Path("home"))

The names of `__all__` are the public API, and CONTRIBUTING.md says how they may change. Any other name can change with
any version. A name is loaded when it is first used; none of them loads torch before a verb trains or samples.
"""

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # `__getattr__` reads these lines too, the only list of names and modules
    from r1_pipeline.artifacts.kinds import (
        Artifact,
        Checkpoint,
        Completions,
        Corpus,
        Difficulty,
        EvalReport,
        PreferenceScores,
        PreferenceSet,
        ProblemSet,
        RewardModel,
        open_artifact,
    )
    from r1_pipeline.artifacts.store import Store
    from r1_pipeline.cli.screen import screen_file
    from r1_pipeline.data.screening.rows import STANDARD_SCREENING, RowsRecipe, screen_rows
    from r1_pipeline.errors import R1Error
    from r1_pipeline.graph.deepseek_r1 import DEEPSEEK_R1
    from r1_pipeline.graph.local import run_graph
    from r1_pipeline.graph.node import Graph, Node
    from r1_pipeline.profiles import Profile, load_profile
    from r1_pipeline.recipe import Recipe, Runtime
    from r1_pipeline.records import (
        Completion,
        Outcome,
        PreferencePair,
        Problem,
        Request,
        Sample,
        Sampling,
        TestCase,
        Verdict,
    )
    from r1_pipeline.rewards.graders import default_grader
    from r1_pipeline.rewards.jsonl import BadLine, Graded, grade_rows
    from r1_pipeline.rewards.rubric import Rubric
    from r1_pipeline.rewards.verifier import Grader
    from r1_pipeline.runtime.build_context import BuildContext
    from r1_pipeline.verbs import (
        ask,
        ask_outside,
        collect_general,
        compare_preferences,
        curate,
        curate_preferences,
        distill,
        draft_cold_start,
        evaluate,
        finetune,
        fit_preference,
        measure_difficulty,
        merge,
        pretrain,
        reinforce,
        rejection_sample,
        rewrite_cold_start,
        rollout_difficulty,
        sample_general,
        warm_up,
        write_toy,
    )

__all__ = [
    "DEEPSEEK_R1",
    "STANDARD_SCREENING",
    "Artifact",
    "BadLine",
    "BuildContext",
    "Checkpoint",
    "Completion",
    "Completions",
    "Corpus",
    "Difficulty",
    "EvalReport",
    "Graded",
    "Grader",
    "Graph",
    "Node",
    "Outcome",
    "PreferencePair",
    "PreferenceScores",
    "PreferenceSet",
    "Problem",
    "ProblemSet",
    "Profile",
    "R1Error",
    "Recipe",
    "Request",
    "RewardModel",
    "RowsRecipe",
    "Rubric",
    "Runtime",
    "Sample",
    "Sampling",
    "Store",
    "TestCase",
    "Verdict",
    "ask",
    "ask_outside",
    "collect_general",
    "compare_preferences",
    "curate",
    "curate_preferences",
    "default_grader",
    "distill",
    "draft_cold_start",
    "evaluate",
    "finetune",
    "fit_preference",
    "grade_rows",
    "load_profile",
    "measure_difficulty",
    "merge",
    "open_artifact",
    "pretrain",
    "reinforce",
    "rejection_sample",
    "rewrite_cold_start",
    "rollout_difficulty",
    "run_graph",
    "sample_general",
    "screen_file",
    "screen_rows",
    "warm_up",
    "write_toy",
]


if not TYPE_CHECKING:  # type checkers would accept any name

    def __getattr__(name: str) -> Any:
        """Loads a public name when it is first used; raises `AttributeError` for any other."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}; its public names are in __all__")
        value = globals()[name] = getattr(import_module(_modules()[name]), name)
        return value


def __dir__() -> list[str]:
    """Lists the public names, loaded or not, for interactive completion."""
    return sorted({*globals(), *__all__})


@cache
def _modules() -> dict[str, str]:
    """Returns the module that each public name is imported from above."""
    import ast  # these two imports take longer than the rest of this module; not every command needs them
    from importlib.resources import files

    statements = ast.walk(ast.parse(files(__name__).joinpath("__init__.py").read_text(encoding="utf-8")))
    found = (node for node in statements if isinstance(node, ast.ImportFrom))
    return {alias.name: node.module for node in found if node.module for alias in node.names}
