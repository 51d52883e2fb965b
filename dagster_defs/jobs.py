"""Jobs and schedules for the user interface. Backfills of students and domains are the jobs that have partitions."""

import dagster as dg

from dagster_defs.automation import default_status

PARTITIONED = dg.AssetSelection.assets("student_base", "reasoning_traces", "distilled") | dg.AssetSelection.assets(
    dg.AssetKey(["evaluation", "student_base"]), dg.AssetKey(["evaluation", "distilled"])
)

jobs = [
    dg.define_asset_job(
        "sources",
        dg.AssetSelection.groups("sources", include_sources=True),
        description="What every source holds now; the sensor of the same name sees changes sooner.",
    ),
    dg.define_asset_job(
        "students",
        dg.AssetSelection.assets("student_base", "distilled"),
        description="One student: its base and its distillation.",
    ),
    dg.define_asset_job(
        "traces",
        dg.AssetSelection.assets("reasoning_traces"),
        description="One domain of the corpus, or one shard of it, rejection-sampled again.",
    ),
    dg.define_asset_job(
        "evaluations",
        dg.AssetSelection.groups("evaluation") - PARTITIONED,
        description="Every checkpoint but the students, and the report.",
    ),
    dg.define_asset_job(
        "refresh",
        dg.AssetSelection.groups("problems"),
        description="Problems and preference pairs, read anew; automation carries what changed further.",
    ),
]

schedules = [
    dg.ScheduleDefinition(
        name=name,
        job_name=job,
        cron_schedule=cron,
        default_status=dg.DefaultScheduleStatus(default_status().value),
        description=description,
    )
    for name, job, cron, description in (
        ("hourly_look", "sources", "0 * * * *", "What every source holds, every hour."),
        ("nightly_evaluation", "evaluations", "0 2 * * *", "Scores and the report, every night at 02:00 UTC."),
        ("weekly_refresh", "refresh", "0 4 * * 0", "Sources read anew on Sundays at 04:00 UTC."),
    )
]
