"""The gates that the graph attaches to its nodes: what each measures of which artifacts.

Measurements and limits are `evaluation.gates`; here stands which artifacts they are taken from. A gate that needs
scores asks for them under the name of the evaluation node, which later finds them made.
"""

from r1_pipeline.evaluation import gates
from r1_pipeline.evaluation.rejudge import DRAWN, drawn, rejudge_samples
from r1_pipeline.graph.node import Check, Node, Ref, Subject, ref
from r1_pipeline.rewards.graders import default_grader
from r1_pipeline.stages import ReinforceRecipe


def beats(base: Node) -> Check:
    """R1-Zero must solve clearly more held-out maths than the base that it started from."""
    return Check(
        "beats_base",
        "It solves clearly more held-out maths than the base that it started from.",
        lambda subject: [gates.beats_base(subject.scores(), subject.scores(ref(base)), subject.limits)],
        scores=True,
        quality=True,
    )


def format_rate() -> Check:
    """Replies must have the form that the next stage relies on."""
    return Check(
        "format_rate",
        "Its replies have the form that the cold start relies on.",
        lambda subject: [gates.format_rate(subject.scores(), subject.limits)],
        scores=True,
        quality=True,
    )


def language_consistency() -> Check:
    """A model trained with the language reward must reason in the language of the question."""
    return Check(
        "language_consistency",
        "The reasoning stays in the language of the question.",
        lambda subject: [gates.language_consistency(subject.scores(), subject.limits)],
        scores=True,
        quality=True,
    )


def same_tokenizer(base: Node | Ref) -> Check:
    """Tokenizer and chat template must not drift along a line of models."""
    return Check(
        "same_tokenizer",
        "Tokenizer and chat template are, byte for byte, those of the base.",
        lambda subject: [gates.same_tokenizer(subject.artifact, subject.input(ref(base)))],
    )


def training_guards() -> Check:
    """A run must have stayed inside the guards that would have stopped it."""

    def measure(subject: Subject) -> list[gates.Gate]:
        assert isinstance(subject.recipe, ReinforceRecipe)
        return gates.training_guards(subject.artifact, subject.recipe.grpo.guards)

    return Check(
        "training_guards", "Entropy, KL and empty reasoning stayed inside the guards all through training.", measure
    )


def preference_accuracy() -> Check:
    """A reward model must prefer the better reply of held-out pairs."""
    return Check(
        "preference_accuracy",
        "The reward model prefers the better reply of held-out pairs.",
        lambda subject: [gates.preference_accuracy(subject.artifact, subject.limits)],
        quality=True,
    )


def reward_hacks() -> Check:
    """Replies that solve nothing must not be rewarded; decided before any reinforcement learning."""

    def measure(subject: Subject) -> list[gates.Gate]:
        with default_grader(subject.runtime) as grader:
            return [gates.reward_hacks(subject.artifact.problems(), subject.templates, grader)]

    return Check("reward_hacks", "Replies that solve nothing are not rewarded.", measure)


def known_characters() -> Check:
    """The models that read a set must know its characters; no base has to be there yet."""
    return Check(
        "known_characters",
        "The tokenizers of the models that read the set know its characters.",
        lambda subject: [gates.known_characters(subject.artifact, subject.tokenizers(), subject.limits)],
    )


def all_verified() -> Check:
    """Every row of a corpus must have been judged correct, or be a demonstration."""
    return Check(
        "all_verified",
        "Every row was judged correct, or was written to a prompt that has no reference.",
        lambda subject: [gates.all_verified(subject.artifact)],
    )


def no_heldout(heldout: Node) -> Check:
    """No row of a corpus may be about a held-out problem."""
    return Check(
        "no_heldout",
        "No row is about a held-out problem.",
        lambda subject: [gates.no_heldout(subject.artifact, subject.input(ref(heldout)))],
    )


def licences_allowed() -> Check:
    """Every row of a corpus must have a licence that the profile allows."""
    return Check(
        "licences_allowed",
        "No row has a licence that the profile does not allow.",
        lambda subject: [gates.licences_allowed(subject.artifact, subject.limits)],
    )


def recheck_agrees(*problems: Node) -> Check:
    """Random rows of a corpus, judged once more, must get the verdict that they were kept for."""

    def measure(subject: Subject) -> list[gates.Gate]:
        sets = [subject.input(ref(each)) for each in problems]
        with default_grader(subject.runtime) as grader:
            return [gates.recheck_agrees(rejudge_samples(drawn(subject.artifact.scan(), DRAWN), sets, grader))]

    return Check("recheck_agrees", "Random rows, judged once more, get the verdict that they were kept for.", measure)
