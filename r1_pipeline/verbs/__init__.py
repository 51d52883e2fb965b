"""The verbs: functions that take a build context, artifacts and a recipe, and return one artifact.

    pretrain  curate  curate_preferences  reinforce  draft_cold_start  rewrite_cold_start  finetune  warm_up
    rejection_sample  collect_general  sample_general  write_toy  merge  fit_preference  distill  ask
    ask_outside  evaluate  compare_preferences  measure_difficulty  rollout_difficulty

Verbs and recipes together make up the whole paper: `r1_zero`, `dev2` and `r1` are all `reinforce`; `dev1` and `dev3`
are `finetune`. A verb's function states what enters the fingerprint and how the artifact is made
(`runtime.build_context.Build`); the method itself belongs to another package. Bump a verb's entry in `VERSIONS`
whenever a change makes it write other bytes from the same inputs.
"""

from r1_pipeline.verbs.bases import BaseRecipe, pretrain
from r1_pipeline.verbs.corpora import merge, write_toy
from r1_pipeline.verbs.difficulty import measure_difficulty, rollout_difficulty
from r1_pipeline.verbs.general_rows import GeneralRecipe, collect_general, sample_general
from r1_pipeline.verbs.measuring import ask, compare_preferences, evaluate
from r1_pipeline.verbs.outside import OutsideRecipe, ServedModel, ask_outside
from r1_pipeline.verbs.problems import curate, curate_preferences
from r1_pipeline.verbs.reasoning_rows import draft_cold_start, rejection_sample, rewrite_cold_start
from r1_pipeline.verbs.reinforcement import ReinforceRecipe, reinforce
from r1_pipeline.verbs.tuning import distill, finetune, fit_preference, warm_up
from r1_pipeline.verbs.versions import VERSIONS

__all__ = [
    "VERSIONS",
    "BaseRecipe",
    "GeneralRecipe",
    "OutsideRecipe",
    "ReinforceRecipe",
    "ServedModel",
    "ask",
    "ask_outside",
    "collect_general",
    "compare_preferences",
    "curate",
    "curate_preferences",
    "distill",
    "draft_cold_start",
    "evaluate",
    "finetune",
    "fit_preference",
    "measure_difficulty",
    "merge",
    "pretrain",
    "reinforce",
    "rejection_sample",
    "rewrite_cold_start",
    "rollout_difficulty",
    "sample_general",
    "warm_up",
    "write_toy",
]
