"""Partitions: the students, and what the profile cuts the reasoning traces into. Both stay below 100."""

import dagster as dg

from r1_pipeline.distillation.students import STUDENTS
from r1_pipeline.profiles import Profile

students = dg.StaticPartitionsDefinition(list(STUDENTS))


def traces(profile: Profile) -> dg.StaticPartitionsDefinition:
    """Domains, those that the profile cuts in shards: so that one shard is sampled again without the others."""
    return dg.StaticPartitionsDefinition(list(profile.recipe.reasoning_traces))
