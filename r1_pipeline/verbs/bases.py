"""The verb that makes base models, by pre-training or by importing a pretrained model."""

from dataclasses import replace

from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.kinds import (
    Checkpoint,
)
from r1_pipeline.artifacts.store import BuildResult
from r1_pipeline.data.toy_corpus import text_sources
from r1_pipeline.runtime.build_context import Build, BuildContext
from r1_pipeline.training.import_pretrained import ImportRecipe, import_base
from r1_pipeline.training.model_stats import model_statistics
from r1_pipeline.training.pretrain import PretrainRecipe, train_base
from r1_pipeline.verbs.versions import verb

BaseRecipe = PretrainRecipe | ImportRecipe
"""The recipe of a base: pre-trained here, or imported."""


@verb("training")
def pretrain(context: BuildContext, recipe: BaseRecipe) -> Build[Checkpoint]:
    """Makes a base model with its tokenizer, trained on the toy web or imported from a model pretrained elsewhere.

    It takes the place of DeepSeek-V3-Base (paper, section 2), or of a student's Qwen or Llama base.

    Raises `RequirementError` for a model that this machine lacks, `RecipeError` for one of another shape.
    """

    def make(draft: Draft) -> BuildResult:
        if isinstance(recipe, ImportRecipe):
            import_base(recipe, context.runtime, draft)
            return model_statistics(draft, recipe.template)
        train_base(recipe, context.runtime, draft)
        facts = model_statistics(draft, "zero")
        return replace(facts, statistics={**facts.statistics, "sources": text_sources(recipe.web)})

    return Build(Checkpoint, recipe, {}, make)
