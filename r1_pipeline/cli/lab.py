"""The work behind `r1 lab`: runs variants of R1-Zero with several seeds, and writes the page after each run.

Everything that is run is an ordinary artifact: a finished one is reused, an interrupted one resumes from its last
checkpoint. The first seed's are in the home itself, so its base and R1-Zero are taken from there; those of other seeds
are in `lab/seed-N` of the home, because they are other versions of the same names.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from r1_pipeline.artifacts.atomic_write import write_text_atomically
from r1_pipeline.artifacts.kinds import Artifact, Checkpoint, EvalReport
from r1_pipeline.artifacts.observer import Observer
from r1_pipeline.artifacts.store import Store
from r1_pipeline.errors import GuardTrippedError
from r1_pipeline.evaluation.lab import Lab, Row, Stopped, Trial, page, trial
from r1_pipeline.graph.node import AssetName
from r1_pipeline.home import HomeSettings
from r1_pipeline.profiles.lab import VARIANTS, node_of, with_variants, zero_of
from r1_pipeline.rewards.reference_checks import require_programs
from r1_pipeline.runtime.build_context import BuildContext

FOLDER = "lab"
"""The folder of a home with the page and the homes of further seeds."""
PAGE, FIGURES = "lab.md", "lab.json"


class Bench:
    """The runs of one seed."""

    def __init__(self, settings: HomeSettings, seed: int, names: Sequence[str], observer: Observer) -> None:
        """Loads the profile with this seed and the variants `names`; raises like `with_variants`."""
        own = settings.home if seed == settings.seed else settings.home / FOLDER / f"seed-{seed}"
        require_programs(own)
        self.seed, self.profile = seed, with_variants(replace(settings, seed=seed).load(), names)
        self._bound = self.profile.bound
        self._store = Store(own, observer, device=self.profile.runtime.device)
        self._made: dict[AssetName, Artifact] = {}

    def run(self, node: str) -> Trial:
        """Makes the checkpoint `node` and its evaluation, and everything upstream, where they do not exist yet.

        Gates are not decided, since a variant may be bad. Raises `GuardTrippedError` for a run that a guard stopped.
        """
        name = AssetName(node)
        report, model = self._find(self._bound.evaluation(name)), self._find(name)
        assert isinstance(report, EvalReport) and isinstance(model, Checkpoint)
        return trial(self.seed, model, report)

    def _find(self, name: AssetName) -> Artifact:
        if name not in self._made:
            context = BuildContext(self._store, self.profile.runtime, str(name))
            self._made[name] = self._bound.make(name, context, self._find)
        return self._made[name]


def run_lab(settings: HomeSettings, names: Sequence[str], seeds: int, observer: Observer) -> Path:
    """Runs the variants `names` with `seeds` seeds, beginning with that of the settings; returns the page.

    The page is written after every run, so an interrupted family has one too. Raises `UnknownNameError` for an unknown
    variant, and the errors of verbs.
    """
    for name in names:
        VARIANTS.known(name)
    trials: dict[str, list[Trial]] = {}
    stopped: dict[str, list[Stopped]] = {}
    folder = settings.home / FOLDER
    for seed in range(settings.seed, settings.seed + seeds):
        bench = Bench(settings, seed, names, observer)
        plain = zero_of(bench.profile)
        trials.setdefault(plain, []).append(bench.run(plain))
        for name in names:
            try:
                trials.setdefault(name, []).append(bench.run(node_of(bench.profile, name)))
            except GuardTrippedError as error:
                stopped.setdefault(name, []).append(Stopped(seed=seed, reason=" ".join(str(error).split())))
            _write(folder, _lab(settings.profile, plain, names, trials, stopped))
    return folder / PAGE


def _lab(
    profile: str,
    plain: str,
    names: Sequence[str],
    trials: Mapping[str, Sequence[Trial]],
    stopped: Mapping[str, Sequence[Stopped]],
) -> Lab:
    def row(name: str, claim: str, source: str) -> Row:
        return Row(
            name=name,
            claim=claim,
            source=source,
            trials=tuple(trials.get(name, ())),
            stopped=tuple(stopped.get(name, ())),
        )

    known = [name for name in names if trials.get(name) or stopped.get(name)]
    rows = tuple(row(name, VARIANTS[name].claim, VARIANTS[name].source) for name in known)
    return Lab(profile=profile, plain=row(plain, "", ""), variants=rows)


def _write(folder: Path, lab: Lab) -> None:
    folder.mkdir(exist_ok=True)
    write_text_atomically(folder / FIGURES, lab.model_dump_json(indent=1))
    write_text_atomically(folder / PAGE, page(lab))
