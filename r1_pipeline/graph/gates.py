"""The gates that the graph attaches to its nodes: which artifacts each of them measures.

Measurements and limits are in `evaluation` (`gates`, `regression`, `answer_bias`). A gate that needs scores requests
them under the name of the evaluation node, which later reuses them. A failed gate stops everything downstream. It only
warns if nothing is trained downstream, so that the report can show what went wrong.
"""

from r1_pipeline.evaluation import answer_bias, gates, regression, suspects
from r1_pipeline.evaluation.rejudge import REJUDGED_ROWS, random_rows, rejudge_samples
from r1_pipeline.graph.node import Check, GateContext, Node, Ref, ref
from r1_pipeline.rewards.graders import default_grader
from r1_pipeline.verbs import ReinforceRecipe


def beats(base: Node) -> Check:
    """Requires R1-Zero to solve significantly more held-out maths than the base that it started from."""
    return Check(
        "beats_base",
        "It solves clearly more held-out maths than the base that it started from.",
        lambda subject: [gates.beats_base(subject.scores(), subject.scores(ref(base)), subject.limits)],
        fails="A policy whose pass@1 on held-out maths is its base's.",
        scores=True,
        quality=True,
    )


def no_regression(before: Node | Ref, *, warns: bool = False) -> Check:
    """Rejects a model that solves significantly fewer held-out problems of a domain than its parent model."""
    return Check(
        "no_regression",
        "In no domain does it surely solve fewer held-out problems than the model that it came from.",
        lambda subject: regression.no_regression(subject.scores(), subject.scores(ref(before)), subject.limits),
        fails="A model that answers the logic problems wrong which the one that it came from answers right.",
        scores=True,
        quality=True,
        warns=warns,
    )


def no_less_preferred(after: Node, before: Node) -> Check:
    """Rejects a model whose answers get significantly lower scores from the reward models than its parent's."""
    return Check(
        "no_less_preferred",
        f"The reward models do not surely like the answers of {after.name} less than those of {before.name}.",
        lambda subject: [
            regression.no_less_preferred(subject.artifact, after.name, before.name, subject.limits),
        ],
        fails="A policy whose answers to general prompts the reward models score lower than its parent's.",
        quality=True,
        warns=True,
    )


def answer_distribution(problems: Node, *, warns: bool = False) -> Check:
    """Rejects a corpus in which a multiple-choice answer is much more frequent than among the references."""
    return Check(
        "answer_distribution",
        "Among the rows no answer to multiple choice is much more frequent than among the problems' references.",
        lambda subject: answer_bias.answer_distribution(
            subject.artifact, subject.input(ref(problems)).problems(), subject.limits
        ),
        fails="A corpus that says D in 184 of 185 rows, each of them right, where a quarter of the references are D.",
        quality=True,
        warns=warns,
    )


def format_rate() -> Check:
    """Requires replies in the form that the next stage relies on."""
    return Check(
        "format_rate",
        "Its replies have the form that the cold start relies on.",
        lambda subject: [gates.format_rate(subject.scores(), subject.limits)],
        fails="A policy that never closes its reasoning.",
        scores=True,
        quality=True,
    )


def language_consistency() -> Check:
    """Requires a model trained with the language reward to reason in the language of the question."""
    return Check(
        "language_consistency",
        "The reasoning stays in the language of the question.",
        lambda subject: [gates.language_consistency(subject.scores(), subject.limits)],
        fails="A policy that answers an English question with Chinese words between the English ones.",
        scores=True,
        quality=True,
    )


def same_tokenizer(base: Node | Ref) -> Check:
    """Requires the tokenizer and chat template to stay the same along a line of models."""
    return Check(
        "same_tokenizer",
        "Tokenizer and chat template are, byte for byte, those of the base.",
        lambda subject: [gates.same_tokenizer(subject.artifact, subject.input(ref(base)))],
        fails="A student published with the tokenizer of another student.",
    )


def training_guards() -> Check:
    """Requires the metrics of a run to have stayed within its training guards."""

    def measure(subject: GateContext) -> list[gates.Gate]:
        assert isinstance(subject.recipe, ReinforceRecipe)
        return gates.training_guards(subject.artifact, subject.recipe.grpo.guards)

    return Check(
        "training_guards",
        "Entropy, KL and empty reasoning stayed inside the guards all through training.",
        measure,
        fails="A run whose KL was 0.3 at three steps in a row, under a recipe whose ceiling is 0.25.",
    )


def preference_accuracy() -> Check:
    """Requires a reward model to prefer the better reply of held-out pairs."""
    return Check(
        "preference_accuracy",
        "The reward model prefers the better reply of held-out pairs.",
        lambda subject: [gates.preference_accuracy(subject.artifact, subject.limits)],
        fails="A reward model that prefers the better reply of 6 pairs in 8, where 9 in 10 are asked for.",
        quality=True,
    )


def reward_hacks() -> Check:
    """Rejects a verifier that rewards replies which solve nothing; decided before any RL."""

    def measure(subject: GateContext) -> list[gates.Gate]:
        with default_grader(subject.runtime) as grader:
            return [gates.reward_hacks(subject.artifact.problems(), subject.templates, grader)]

    return Check(
        "reward_hacks",
        "Replies that solve nothing are not rewarded.",
        measure,
        fails="A maths problem judged by keywords, where a reply that lists many numbers holds the right one.",
    )


def known_characters() -> Check:
    """Requires the models that read a set to know its characters; the bases need not exist yet."""
    return Check(
        "known_characters",
        "The tokenizers of the models that read the set know its characters.",
        lambda subject: [gates.known_characters(subject.artifact, subject.tokenizers(), subject.limits)],
        fails="Problems with digits, for a base whose tokenizer has none.",
    )


def all_verified() -> Check:
    """Requires every row of a corpus to be graded correct, or to be a demonstration."""
    return Check(
        "all_verified",
        "Every row was judged correct, or was written to a prompt that has no reference.",
        lambda subject: [gates.all_verified(subject.artifact)],
        fails="A corpus with one row whose verdict is `wrong`.",
    )


def no_heldout(heldout: Node) -> Check:
    """Rejects a corpus with a row about a held-out problem."""
    return Check(
        "no_heldout",
        "No row is about a held-out problem.",
        lambda subject: [gates.no_heldout(subject.artifact, subject.input(ref(heldout)))],
        fails="A corpus with one row about a held-out problem.",
    )


def licences_allowed() -> Check:
    """Requires every row of a corpus to have a licence that the profile allows."""
    return Check(
        "licences_allowed",
        "No row has a licence that the profile does not allow.",
        lambda subject: [gates.licences_allowed(subject.artifact, subject.limits)],
        fails="A corpus with one row under CC-BY-NC-4.0, which no profile allows.",
    )


def suspect_references(problems: Node) -> Check:
    """Rejects a policy that was reinforced on many references that its own late samples agree against."""

    def measure(subject: GateContext) -> list[gates.Gate]:
        if subject.limits.suspect_references >= 1:
            return []  # it would grade for nothing
        asked = subject.input(ref(problems)).problems()
        with default_grader(subject.runtime) as grader:
            return [suspects.suspect_references(subject.artifact, asked, grader, subject.limits)]

    return Check(
        "suspect_references",
        "For few of its problems do its last samples agree with each other and not with the reference.",
        measure,
        fails="A policy whose last four samples all answer B to two of its three problems, where the references are A.",
        quality=True,
    )


def recheck_agrees(*problems: Node) -> Check:
    """Grades random rows of a corpus again and requires the verdicts that they were kept for."""

    def measure(subject: GateContext) -> list[gates.Gate]:
        sets = [subject.input(ref(each)) for each in problems]
        with default_grader(subject.runtime) as grader:
            return [
                gates.recheck_agrees(rejudge_samples(random_rows(subject.artifact.scan(), REJUDGED_ROWS), sets, grader))
            ]

    return Check(
        "recheck_agrees",
        "Random rows, judged once more, get the verdict that they were kept for.",
        measure,
        fails="A corpus with a row that answers B and says it was judged correct, where the reference is A.",
    )
