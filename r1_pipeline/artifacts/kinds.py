"""Typed handles on artifact directories: a `Checkpoint` cannot be opened as a `Corpus`.

Opening verifies every byte against the manifest once per process; `batches` and what is built on it also verifies the
checksums of the pages that it reads. Not covered: how tables lie on disk (`tables`).
"""

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from r1_pipeline.artifacts.manifest import LOGS, Manifest, read_manifest, verify_files
from r1_pipeline.artifacts.metrics import METRICS, read_metrics
from r1_pipeline.artifacts.tables import read_groups, read_records, read_table, records_of, rows_at, scan_tables
from r1_pipeline.errors import WrongKindError
from r1_pipeline.records import Domain, PreferencePair, Problem, Sample

if TYPE_CHECKING:
    import polars as pl

ASKED = "asked.json"
COMPLETIONS = "completions.parquet"
PREFERRED = "answers.parquet"
PROBLEMS = "problems.parquet"
SCORES = "scores.json"
VERDICTS = "verdicts.parquet"
"""`problem_id`, `sample_index`, `outcome`, `verifier`; the completions themselves are in the `Completions` below."""

_verified: set[tuple[Path, str]] = set()


@dataclass(frozen=True)
class Artifact:
    """A finished, immutable directory with its manifest."""

    path: Path
    manifest: Manifest
    kind: ClassVar[str] = "artifact"
    rows: ClassVar[tuple[str, ...]] = ()
    """Patterns of the tables that hold its rows; none where it has no rows."""

    @classmethod
    def open(cls, path: Path) -> Self:
        """Raises `WrongKindError`, `CorruptArtifactError` or `SchemaVersionError`."""
        manifest = read_manifest(path)
        if manifest.kind != cls.kind:
            raise WrongKindError(f"{path} is a {manifest.kind}, not a {cls.kind}; check which asset feeds this input")
        if (path, manifest.digest) not in _verified:
            verify_files(path, manifest)
            _verified.add((path, manifest.digest))
        return cls(path, manifest)

    @property
    def name(self) -> str:
        """Asset key, partition after a slash."""
        return self.manifest.name

    @property
    def digest(self) -> str:
        """Content digest: the data version."""
        return self.manifest.digest

    @property
    def statistics(self) -> dict[str, Any]:
        """What the maker counted."""
        return self.manifest.statistics

    @property
    def row_count(self) -> int:
        """Rows that the maker counted; 0 where it holds none."""
        return int(self.statistics.get("rows", 0))

    @property
    def tokens(self) -> dict[str, int]:
        """Tokens `generated` and `trained` while it was made; empty where tokens mean nothing."""
        return dict(self.statistics.get("tokens", {}))

    @property
    def sources(self) -> list[dict[str, Any]]:
        """`source`, `licence`, `domain`, `rows` of what a stage made itself and trained on; empty where it did not."""
        return list(self.statistics.get("sources", []))

    @property
    def by_domain(self) -> dict[Domain, int]:
        """Rows of each domain; empty where rows have none."""
        return dict(self.statistics.get("by_domain", {}))

    def tables(self) -> list[Path]:
        """The Parquet files that hold its rows, in order."""
        names = [file.path for file in self.manifest.files]
        return [self.path / name for name in names if any(fnmatchcase(name, pattern) for pattern in self.rows)]

    def scan(self) -> "pl.LazyFrame":
        """All rows, lazily: the one way to read what may be larger than memory. Pages' checksums are not looked at."""
        return scan_tables(self.tables())

    def batches(self, columns: Sequence[str] | None = None) -> Iterator["pl.DataFrame"]:
        """All rows, in order, a row group at a time; raises `OSError` for a page whose checksum does not fit."""
        return read_groups(self.tables(), columns)

    def rows_at(self, numbers: Collection[int]) -> "pl.DataFrame":
        """The rows with these numbers, in stored order."""
        return rows_at(self.scan(), numbers).collect(engine="streaming")

    def metrics(self) -> list[dict[str, Any]]:
        """Step metrics of the computation that made it; empty where there were none."""
        return read_metrics(self.path / LOGS / METRICS)


class ProblemSet(Artifact):
    """Problems, one a row."""

    kind = "problems"
    rows = ("problems*.parquet",)

    def problems(self) -> list[Problem]:
        """All problems, in stored order."""
        return [problem for frame in self.batches() for problem in records_of(frame, Problem)]

    @property
    def verifiers(self) -> tuple[str, ...]:
        """Verifiers that its problems name themselves."""
        return tuple(self.statistics.get("verifiers", ()))

    @property
    def left_out(self) -> dict[Domain, str]:
        """Domains that could not be verified where the set was made -> why."""
        left_out: dict[Domain, str] = self.statistics.get("left_out", {})
        return left_out


class PreferenceSet(Artifact):
    """Preference pairs, train and held-out, one a row."""

    kind = "preferences"
    rows = ("train*.parquet", "heldout*.parquet")

    @property
    def heldout_pairs(self) -> int:
        """Pairs that no reward model is trained on."""
        return int(self.statistics["heldout"])

    def pairs(self, split: str) -> list[PreferencePair]:
        """Pairs of `train` or `heldout`."""
        return read_records(self.path / f"{split}.parquet", PreferencePair)


class Corpus(Artifact):
    """Chat-format training samples with provenance columns, one a row."""

    kind = "corpus"
    rows = ("samples*.parquet",)

    @property
    def tokens_by_domain(self) -> dict[Domain, int]:
        """Tokens of the responses of each domain, under the generator's tokenizer."""
        return dict(self.statistics["tokens_by_domain"])

    def samples(self) -> list[Sample]:
        """All samples, in stored order: of a corpus that fits in memory as records."""
        return [sample for frame in self.batches() for sample in records_of(frame, Sample)]

    def samples_at(self, rows: Collection[int]) -> list[Sample]:
        """The samples with these numbers, in stored order."""
        return records_of(self.rows_at(rows), Sample)

    def verdicts(self) -> "pl.DataFrame":
        """Of a sampled corpus, the verdict on every completion that was asked for, kept or not (`VERDICTS`)."""
        return read_table(self.path / VERDICTS)


class Checkpoint(Artifact):
    """A causal language model with its tokenizer, loadable by transformers from `path`."""

    kind = "checkpoint"

    @property
    def template(self) -> str:
        """The prompt form that it was trained in, and is asked in."""
        return str(self.statistics["template"])


class RewardModel(Artifact):
    """A sequence classifier with one output, loadable by transformers from `path`."""

    kind = "reward_model"

    @property
    def accuracy(self) -> float:
        """Share of held-out pairs whose better reply it prefers."""
        return float(self.statistics["accuracy"])

    @property
    def calibration(self) -> list[dict[str, float]]:
        """How often it is right by how sure it is, on held-out pairs: rows of `rewards.preference.Confidence`."""
        return list(self.statistics["calibration"])

    @property
    def heldout_pairs(self) -> int:
        """Pairs that the accuracy was measured on."""
        return int(self.statistics["heldout_pairs"])


class Completions(Artifact):
    """What a checkpoint said to problems, not judged."""

    kind = "answers"

    def asked(self) -> dict[str, Any]:
        """Who answered what, and how it was asked (`generation.sampling.Asked`)."""
        asked: dict[str, Any] = json.loads((self.path / ASKED).read_text(encoding="utf-8"))
        return asked

    def completions(self) -> "pl.DataFrame":
        """One row a completion."""
        return read_table(self.path / COMPLETIONS)


class EvalReport(Artifact):
    """Scores of one checkpoint, with every completion and verdict behind them."""

    kind = "evaluation"

    def scores(self) -> dict[str, Any]:
        """The scores as written by `evaluation.runner`."""
        scores: dict[str, Any] = json.loads((self.path / SCORES).read_text(encoding="utf-8"))
        return scores

    def completions(self) -> "pl.DataFrame":
        """One row a completion, with its verdict."""
        return read_table(self.path / COMPLETIONS)


class PreferenceScores(Artifact):
    """What reward models think of several models' answers to general prompts."""

    kind = "preference_scores"

    def answers(self) -> "pl.DataFrame":
        """One row an answer: `model`, `kind`, `problem_id`, `fact`, `sample_index`, `score` in (0, 1)."""
        return read_table(self.path / PREFERRED)

    def scores(self) -> dict[str, dict[str, dict[str, float]]]:
        """Model -> kind of preference -> `mean` score in (0, 1), `n` answers, win rates (`evaluation.preferences`)."""
        scores: dict[str, dict[str, dict[str, float]]] = json.loads((self.path / SCORES).read_text(encoding="utf-8"))
        return scores


_ALL = (ProblemSet, PreferenceSet, Corpus, Checkpoint, RewardModel, Completions, EvalReport, PreferenceScores)
KINDS: dict[str, type[Artifact]] = {kind.kind: kind for kind in _ALL}


def peek_artifact(path: Path) -> Artifact:
    """The handle of whatever lies at `path`, its files not verified: for those who read manifests only."""
    manifest = read_manifest(path)
    return kind_of(manifest, path)(path, manifest)


def kind_of(manifest: Manifest, path: Path) -> type[Artifact]:
    """Raises `WrongKindError` for a kind that this software does not know."""
    if manifest.kind not in KINDS:
        raise WrongKindError(
            f"{path} is a {manifest.kind!r}, which this software does not know; valid: {', '.join(KINDS)}"
        )
    return KINDS[manifest.kind]


def open_artifact(path: Path) -> Artifact:
    """Opens the artifact that lies at `path`, of whatever kind, and verifies every file against its manifest.

    Raises `WrongKindError` for a kind that this version does not know, `CorruptArtifactError` for a file that has
    changed, `SchemaVersionError` for an artifact of another schema version.
    """
    return kind_of(read_manifest(path), path).open(path)
