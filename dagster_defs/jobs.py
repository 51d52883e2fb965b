"""Jobs for the user interface: the whole of what has no partitions, and the evaluation of everything."""

import dagster as dg

PARTITIONED = dg.AssetSelection.assets("student_base", "reasoning_traces", "distilled") | dg.AssetSelection.assets(
    dg.AssetKey(["evaluation", "student_base"]), dg.AssetKey(["evaluation", "distilled"])
)

jobs = [
    dg.define_asset_job(
        "students",
        dg.AssetSelection.assets("student_base", "distilled"),
        description="One student: its base and its distillation.",
    ),
    dg.define_asset_job(
        "traces",
        dg.AssetSelection.assets("reasoning_traces"),
        description="One domain of the corpus, rejection-sampled again.",
    ),
    dg.define_asset_job(
        "evaluations",
        dg.AssetSelection.groups("evaluation") - PARTITIONED,
        description="Every checkpoint but the students, and the report.",
    ),
]
