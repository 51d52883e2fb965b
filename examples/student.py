"""A third student: r1 run --profile smoke --recipe examples/student.py

Its base, its distillation and both evaluations follow as partitions `mini`; gates, plans and the report know it.
"""

from r1_pipeline.profiles import Profile
from r1_pipeline.profiles.extended import with_student
from r1_pipeline.training.pretrain import Dense, PretrainRecipe


def extend(profile: Profile) -> Profile:
    """Adds a student of Qwen architecture with one layer, trained and tuned like the first one."""
    base = profile.recipes["student_base"]["qwen"]
    assert isinstance(base, PretrainRecipe)
    assert isinstance(base.architecture, Dense)
    small = base.model_copy(update={"architecture": base.architecture.model_copy(update={"layers": 1})})
    return with_student(profile, "mini", small, profile.recipes["distilled"]["qwen"])
