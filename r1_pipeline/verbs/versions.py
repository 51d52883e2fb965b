"""The versions of the verbs: bump one whenever a change makes the verb write other bytes from the same inputs."""

from collections.abc import Mapping

from r1_pipeline.runtime.build_context import Verbs

VERSIONS: Mapping[str, int] = {
    "pretrain": 6,
    "curate": 9,
    "curate_preferences": 8,
    "reinforce": 5,
    "draft_cold_start": 6,
    "rewrite_cold_start": 1,
    "finetune": 3,
    "rejection_sample": 5,
    "collect_general": 9,
    "sample_general": 1,
    "write_toy": 1,
    "merge": 6,
    "fit_preference": 3,
    "distill": 3,
    "ask": 5,
    "evaluate": 4,
    "compare_preferences": 4,
}


verb = Verbs(VERSIONS)
