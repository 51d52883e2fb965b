"""Typed handles on artifact directories: a `Checkpoint` cannot be opened as a `Corpus`.

Opening verifies every byte against the manifest once per process; `batches` and the methods built on it also verify the
checksums of the pages that they read. `tables` defines the layout of tables on disk.
"""

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from r1_pipeline.artifacts.manifest import LOGS, Manifest, read_manifest, verify_files
from r1_pipeline.artifacts.metrics import METRICS, read_metrics
from r1_pipeline.artifacts.tables import read_groups, read_records, read_table, records_of, rows_at, scan_tables
from r1_pipeline.errors import ArtifactError, WrongKindError
from r1_pipeline.records import Domain, PassRate, PreferencePair, Problem, Sample

if TYPE_CHECKING:
    import polars as pl

ASKED = "asked.json"
COMPLETIONS = "completions.parquet"
ROLLOUTS = "rollouts-*.parquet"
OPINIONS = "opinions.parquet"
PASS_RATES = "pass_rates.parquet"
PREFERRED = "answers.parquet"
PROBLEMS = "problems.parquet"
SCORES = "scores.json"
VERDICTS = "verdicts.parquet"
"""Table of `problem_id`, `sample_index`, `outcome`, `verifier`; the completions are in the `Completions` upstream."""

_verified: set[tuple[Path, str]] = set()


@dataclass(frozen=True)
class Artifact:
    """A finished, immutable directory with its manifest."""

    path: Path
    manifest: Manifest
    kind: ClassVar[str] = "artifact"
    rows: ClassVar[tuple[str, ...]] = ()
    """Glob patterns of the tables that hold its rows; empty for a kind without rows."""

    @classmethod
    def open(cls, path: Path) -> Self:
        """Opens and verifies an artifact; raises `WrongKindError`, `CorruptArtifactError` or `SchemaVersionError`."""
        manifest = read_manifest(path)
        if manifest.kind != cls.kind:
            raise WrongKindError(f"{path} is a {manifest.kind}, not a {cls.kind}; check which asset feeds this input")
        if (path, manifest.digest) not in _verified:
            verify_files(path, manifest)
            _verified.add((path, manifest.digest))
        return cls(path, manifest)

    @property
    def name(self) -> str:
        """Asset key, with the partition after a slash."""
        return self.manifest.name

    @property
    def digest(self) -> str:
        """Content digest, which is the data version."""
        return self.manifest.digest

    @property
    def statistics(self) -> dict[str, Any]:
        """Counts and measurements that its maker stored."""
        return self.manifest.statistics

    @property
    def row_count(self) -> int:
        """Number of rows; 0 for a kind without rows."""
        return int(self.statistics.get("rows", 0))

    @property
    def tokens(self) -> dict[str, int]:
        """Tokens `generated` and `trained` in its making; empty for kinds without tokens."""
        return dict(self.statistics.get("tokens", {}))

    @property
    def sources(self) -> list[dict[str, Any]]:
        """`source`, `licence`, `domain` and `rows` of data that the stage made and trained on itself; mostly empty."""
        return list(self.statistics.get("sources", []))

    @property
    def by_domain(self) -> dict[Domain, int]:
        """Rows of each domain; empty if rows have no domain."""
        return dict(self.statistics.get("by_domain", {}))

    def tables(self) -> list[Path]:
        """Lists the Parquet files that hold its rows, in order."""
        names = [file.path for file in self.manifest.files]
        return [self.path / name for name in names if any(fnmatchcase(name, pattern) for pattern in self.rows)]

    def scan(self) -> "pl.LazyFrame":
        """Scans all rows lazily, for tables larger than memory; checksums of pages are not verified."""
        return scan_tables(self.tables())

    def batches(self, columns: Sequence[str] | None = None) -> Iterator["pl.DataFrame"]:
        """Yields all rows in order, one row group at a time; raises `OSError` for a page with a wrong checksum."""
        return read_groups(self.tables(), columns)

    def rows_at(self, numbers: Collection[int]) -> "pl.DataFrame":
        """Returns the rows with these numbers, in stored order."""
        return rows_at(self.scan(), numbers).collect(engine="streaming")

    def metrics(self) -> list[dict[str, Any]]:
        """Returns the step metrics of the computation that made it; empty if there were none."""
        return read_metrics(self.path / LOGS / METRICS)


class ProblemSet(Artifact):
    """Problems, one per row."""

    kind = "problems"
    rows = ("problems*.parquet",)

    def problems(self) -> list[Problem]:
        """Returns all problems, in stored order."""
        return [problem for frame in self.batches() for problem in records_of(frame, Problem)]

    @property
    def verifiers(self) -> tuple[str, ...]:
        """Names of the verifiers that its problems choose themselves."""
        return tuple(self.statistics.get("verifiers", ()))

    @property
    def canaries(self) -> tuple[str, ...]:
        """Strings by which the data of the benchmark that it holds is recognized."""
        sources = self.manifest.payload["recipe"].get("sources", [])
        return tuple(source["canary"] for source in sources if source.get("canary"))

    @property
    def left_out(self) -> dict[Domain, str]:
        """Domain that the making machine could not verify -> the reason."""
        left_out: dict[Domain, str] = self.statistics.get("left_out", {})
        return left_out

    @property
    def from_files(self) -> bool:
        """True if some of its problems are from files of a user, whose rows may be too long for a model."""
        return bool(self.statistics.get("ingested"))


class PreferenceSet(Artifact):
    """Preference pairs for training and held-out ones, one per row."""

    kind = "preferences"
    rows = ("train*.parquet", "heldout*.parquet")

    @property
    def heldout_pairs(self) -> int:
        """Number of pairs that no reward model is trained on."""
        return int(self.statistics["heldout"])

    def pairs(self, split: str) -> list[PreferencePair]:
        """Returns the pairs of a split, `train` or `heldout`."""
        return read_records(self.path / f"{split}.parquet", PreferencePair)


class Corpus(Artifact):
    """Chat-format training samples with provenance columns, one per row."""

    kind = "corpus"
    rows = ("samples*.parquet",)

    @property
    def tokens_by_domain(self) -> dict[Domain, int]:
        """Domain -> tokens of its responses under the generator's tokenizer."""
        return dict(self.statistics["tokens_by_domain"])

    def samples(self) -> list[Sample]:
        """Returns all samples, in stored order, of a corpus that fits in memory as records."""
        return [sample for frame in self.batches() for sample in records_of(frame, Sample)]

    def samples_at(self, rows: Collection[int]) -> list[Sample]:
        """Returns the samples with these row numbers, in stored order."""
        return records_of(self.rows_at(rows), Sample)

    def verdicts(self) -> "pl.DataFrame":
        """Returns the verdicts on all completions behind a sampled corpus, kept or not (`VERDICTS`)."""
        return read_table(self.path / VERDICTS)


class Checkpoint(Artifact):
    """A causal language model with its tokenizer, loadable by transformers from `path`."""

    kind = "checkpoint"

    @property
    def template(self) -> str:
        """Name of the prompt form that it is trained and sampled with."""
        return str(self.statistics["template"])

    def rollout_tables(self) -> list[Path]:
        """Lists the Parquet files of the rollouts that it was reinforced with, in order (`records.Rollout`)."""
        return [self.path / file.path for file in self.manifest.files if fnmatchcase(file.path, ROLLOUTS)]

    def rollouts(self) -> "pl.LazyFrame":
        """Scans the rollouts; raises `ArtifactError` if it was not reinforced, or its recipe keeps none."""
        if not (tables := self.rollout_tables()):
            raise ArtifactError(
                f"{self.name} holds no rollouts; they are kept by stages that reinforce (kept_rollouts in their recipe)"
            )
        return scan_tables(tables)


ScoringPrecision = Literal["float32", "bfloat16"]
"""Number format of a reward model's matrix products."""


class RewardModel(Artifact):
    """A sequence classifier with one output, loadable by transformers from `path`."""

    kind = "reward_model"

    @property
    def precision(self) -> ScoringPrecision:
        """Number format that it was trained in, and scores in."""
        recipe: dict[str, Any] = self.manifest.payload["recipe"]
        return "bfloat16" if recipe.get("precision") == "bfloat16" else "float32"

    @property
    def accuracy(self) -> float:
        """Share of held-out pairs in which it prefers the chosen reply, in [0, 1]."""
        return float(self.statistics["accuracy"])

    @property
    def calibration(self) -> list[dict[str, float]]:
        """Accuracy by confidence on held-out pairs, as rows of `rewards.preference.Confidence`."""
        return list(self.statistics["calibration"])

    @property
    def heldout_pairs(self) -> int:
        """Number of pairs that the accuracy was measured on."""
        return int(self.statistics["heldout_pairs"])


class Completions(Artifact):
    """Completions of a checkpoint for problems, not graded."""

    kind = "answers"

    def asked(self) -> dict[str, Any]:
        """Returns the record of the sampling: models, problems and settings (`generation.sampling.SamplingRecord`)."""
        asked: dict[str, Any] = json.loads((self.path / ASKED).read_text(encoding="utf-8"))
        return asked

    def completions(self) -> "pl.DataFrame":
        """Returns one row per completion."""
        return read_table(self.path / COMPLETIONS)


class EvalReport(Artifact):
    """Scores of one checkpoint, with the completions and verdicts behind them."""

    kind = "evaluation"

    @property
    def judge(self) -> dict[str, Any] | None:
        """Recipe of the judges that gave its verdicts (`generation.judge_protocol`); None if rules gave them."""
        judge: dict[str, Any] | None = self.manifest.payload["recipe"].get("judge")
        return judge

    def opinions(self) -> "pl.DataFrame":
        """Returns one row per request to a judge: the request, the raw output, and the grade that was read in it."""
        return read_table(self.path / OPINIONS)

    def scores(self) -> dict[str, Any]:
        """Returns the scores as written by `evaluation.runner`."""
        scores: dict[str, Any] = json.loads((self.path / SCORES).read_text(encoding="utf-8"))
        return scores

    def completions(self) -> "pl.DataFrame":
        """Returns one row per completion, with its verdict."""
        return read_table(self.path / COMPLETIONS)


class Difficulty(Artifact):
    """The pass rate of a policy on each problem of a set (`records.PassRate`), with what it was measured on."""

    kind = "difficulty"

    def pass_rates(self) -> dict[str, PassRate]:
        """Returns the pass rates by problem id."""
        return {rate.problem_id: rate for rate in read_records(self.path / PASS_RATES, PassRate)}


class PreferenceScores(Artifact):
    """Reward models' scores of several models' answers to general prompts."""

    kind = "preference_scores"

    def answers(self) -> "pl.DataFrame":
        """Returns one row per answer: `model`, `kind`, `problem_id`, `fact`, `sample_index`, `score` in (0, 1)."""
        return read_table(self.path / PREFERRED)

    def scores(self) -> dict[str, dict[str, dict[str, float]]]:
        """Returns scores by model and kind of preference.

        Each has `mean` in (0, 1), `n` answers, and win rates (`evaluation.preferences`).
        """
        scores: dict[str, dict[str, dict[str, float]]] = json.loads((self.path / SCORES).read_text(encoding="utf-8"))
        return scores


_ALL = (
    ProblemSet,
    PreferenceSet,
    Corpus,
    Checkpoint,
    RewardModel,
    Completions,
    EvalReport,
    Difficulty,
    PreferenceScores,
)
KINDS: dict[str, type[Artifact]] = {kind.kind: kind for kind in _ALL}


def peek_artifact(path: Path) -> Artifact:
    """Returns the handle of the artifact at `path` without verifying its files, for readers of manifests only."""
    manifest = read_manifest(path)
    return kind_of(manifest, path)(path, manifest)


def kind_of(manifest: Manifest, path: Path) -> type[Artifact]:
    """Returns the class for a manifest's kind; raises `WrongKindError` for an unknown kind."""
    if manifest.kind not in KINDS:
        raise WrongKindError(
            f"{path} is a {manifest.kind!r}, which this software does not know; valid: {', '.join(KINDS)}"
        )
    return KINDS[manifest.kind]


def open_artifact(path: Path) -> Artifact:
    """Opens the artifact at `path`, of any kind, and verifies every file against its manifest.

    Raises `WrongKindError` for a kind that this version does not know, `CorruptArtifactError` for a file that has
    changed, `SchemaVersionError` for an artifact of another schema version.
    """
    return kind_of(read_manifest(path), path).open(path)
