"""Partitions: the students, and the domains whose reasoning traces are sampled. Both stay far below 100."""

import dagster as dg

from r1_pipeline.distillation.students import STUDENTS
from r1_pipeline.records import REASONING_DOMAINS

students = dg.StaticPartitionsDefinition(list(STUDENTS))
domains = dg.StaticPartitionsDefinition(list(REASONING_DOMAINS))
