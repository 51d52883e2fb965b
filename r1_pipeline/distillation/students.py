"""The students: small dense models of other families that learn from the teacher's corpus.

To add one, add a line: its base, its distillation and both evaluations follow as partitions.
"""

from collections.abc import Mapping

from r1_pipeline.training.pretrain import Dense

STUDENTS: Mapping[str, Dense] = {
    "qwen": Dense(type="qwen2", width=96, layers=3, heads=4, key_value_heads=2, intermediate=256),
    "llama": Dense(type="llama", width=96, layers=3, heads=4, key_value_heads=2, intermediate=256),
}
"""Partition key -> architecture in the profile `tiny`."""
