"""The versions of the verbs: bump one whenever a change makes the verb write other bytes from the same inputs."""

from collections.abc import Mapping

from r1_pipeline.runtime.build_context import Verbs

VERSIONS: Mapping[str, int] = {
    "pretrain": 9,
    "curate": 9,
    "curate_preferences": 8,
    "reinforce": 8,
    "draft_cold_start": 6,
    "rewrite_cold_start": 2,
    "finetune": 5,
    "rejection_sample": 5,
    "collect_general": 9,
    "sample_general": 2,
    "write_toy": 2,
    "warm_up": 1,
    "merge": 6,
    "fit_preference": 4,
    "distill": 4,
    "ask": 6,
    "ask_outside": 1,
    "evaluate": 4,
    "compare_preferences": 4,
    "measure_difficulty": 1,
    "rollout_difficulty": 1,
}


verb = Verbs(VERSIONS)
