"""An audit recomputes bytes, manifests and their chain, and the rows of corpora from a folder of artifacts alone.

A fault is a `Finding`; a check that this machine could not make is reported, and is no finding.
"""

from collections.abc import Collection, Iterable, Iterator

from pydantic import ValidationError

from r1_pipeline.artifacts.edges import is_exclusion_edge
from r1_pipeline.artifacts.kinds import Artifact, Checkpoint, Corpus, EvalReport, ProblemSet
from r1_pipeline.artifacts.manifest import MANIFEST, sha256_of
from r1_pipeline.evaluation.rejudge import REJUDGED_ROWS
from r1_pipeline.lineage.integrity import Finding, check_chain, check_files, check_manifest, finding
from r1_pipeline.lineage.judgements import STAGE, check_judgements
from r1_pipeline.lineage.library import Library
from r1_pipeline.lineage.opinions import check_opinions, made_by_other_rules
from r1_pipeline.lineage.rewrites import check_rewrites
from r1_pipeline.lineage.rollouts import check_rollouts
from r1_pipeline.lineage.rows import check_counts, check_heldout, check_ids, check_origin, check_verdicts
from r1_pipeline.lineage.training_data import Model, Rows, training_ancestors, training_sets
from r1_pipeline.recipe import Runtime
from r1_pipeline.records import DOMAINS, Domain, Record
from r1_pipeline.rewards.graders import default_grader
from r1_pipeline.rewards.sandbox.self_test import sandbox_problem


class AuditedArtifact(Record):
    """The identity of an audited artifact, to be compared with what was published."""

    name: str
    fingerprint: str
    digest: str
    manifest: str
    """The sha256 of `manifest.json`, which confirms its whole content and everything upstream of it."""


class Audit(Record):
    """The scope and the findings of an audit."""

    seals: tuple[AuditedArtifact, ...]
    artifacts: int
    """The number of artifacts whose bytes, manifest and edges were checked: those audited and everything upstream."""
    files: int
    bytes: int
    corpora: tuple[str, ...]
    """The names of the corpora whose rows were checked."""
    rows: int
    rollouts: int
    """The number of rollouts whose rewards and advantages were computed again."""
    rejudged: str
    """The reasoning rows and rollouts that were graded again, in words."""
    not_checked: tuple[str, ...]
    findings: tuple[Finding, ...]


def audit(library: Library, artifacts: Iterable[Artifact] | None, *, full: bool, runtime: Runtime) -> Audit:
    """Audits `artifacts` (None: all) and everything upstream of them.

    `full` grades every reasoning row and rollout again instead of `REJUDGED_ROWS` random ones, and searches all rows
    for held-out text. Damage is returned as findings, not raised.
    """
    audited = list(library.artifacts.values() if artifacts is None else artifacts)
    lineage = library.upstream(*audited)
    corpora = _corpora(library, audited)
    lost = library.unreadable if artifacts is None else {}
    findings = [Finding(artifact=f"{name}@{fp[:12]}", where=MANIFEST, what=why) for (_, name, fp), why in lost.items()]
    skipped: list[str] = []
    for artifact in lineage:
        damage = [*check_manifest(artifact, library), *check_chain(artifact, library), *check_files(artifact)]
        findings += damage
        if isinstance(artifact, Rows):
            findings += _readable(artifact, check_counts(artifact))
        if isinstance(artifact, Corpus | ProblemSet) and (damage or artifact in corpora):
            findings += _readable(artifact, check_ids(artifact))
    for report in audited:
        if isinstance(report, EvalReport) and report.judge:
            findings += _readable(report, _opinions(library, report, skipped))
    for corpus in corpora:
        findings += _readable(corpus, _rows(library, corpus, full, runtime, skipped))
    reinforced = _reinforced(library, audited)
    for model in reinforced:
        findings += _readable(model, _rollouts(library, model, full, runtime, skipped))
    return Audit(
        seals=tuple(_audited(artifact) for artifact in audited),
        artifacts=len(lineage),
        files=sum(len(a.manifest.files) for a in lineage),
        bytes=sum(file.bytes for a in lineage for file in a.manifest.files),
        corpora=tuple(corpus.name for corpus in corpora),
        rows=sum(corpus.row_count for corpus in corpora),
        rollouts=sum(model.statistics.get("rollouts", 0) for model in reinforced),
        rejudged="all" if full else f"{REJUDGED_ROWS} random ones of each corpus and each reinforced model",
        not_checked=tuple(dict.fromkeys(skipped)),
        findings=tuple(dict.fromkeys(findings)),
    )


def _corpora(library: Library, audited: Iterable[Artifact]) -> list[Corpus]:
    """Returns the corpora whose rows are checked: those audited, and those that audited models were trained on."""
    found: dict[object, Corpus] = {}
    for artifact in audited:
        trained_on = [rows for m in training_ancestors(library, artifact) for rows in training_sets(library, m)]
        for candidate in (artifact, *(trained_on if isinstance(artifact, Model) else [])):
            if isinstance(candidate, Corpus):
                found[candidate.path] = candidate
    return list(found.values())


def _rows(library: Library, corpus: Corpus, full: bool, runtime: Runtime, skipped: list[str]) -> Iterator[Finding]:
    heldout = _heldout(library, corpus)
    if not heldout:
        skipped.append(f"held-out text in {corpus.name}: no held-out problems are known to it")
    domains = _gradable(corpus, corpus.by_domain, skipped)
    yield from check_origin(corpus, [source for source in library.sources(corpus) if isinstance(source, Corpus)])
    yield from check_heldout(corpus, heldout, full)
    for part in (corpus, *library.sources(corpus)):
        if isinstance(part, Corpus) and part.manifest.stage == STAGE:
            yield from check_judgements(part, library)
        if isinstance(part, Corpus):
            yield from check_rewrites(part, library)
    with default_grader(runtime) as grader:
        yield from check_verdicts(corpus, _problems(library, corpus), grader, domains, None if full else REJUDGED_ROWS)


def _opinions(library: Library, report: EvalReport, skipped: list[str]) -> Iterator[Finding]:
    if other := made_by_other_rules(report):
        skipped.append(other)
    else:
        yield from check_opinions(report, library)


def _rollouts(
    library: Library, model: Checkpoint, full: bool, runtime: Runtime, skipped: list[str]
) -> Iterator[Finding]:
    domains = _gradable(model, DOMAINS, skipped)
    with default_grader(runtime) as grader:
        yield from check_rollouts(model, _problems(library, model), grader, domains, None if full else REJUDGED_ROWS)


def _reinforced(library: Library, audited: Iterable[Artifact]) -> list[Checkpoint]:
    """Returns the models whose rollouts are checked: those audited, and those that they learned from."""
    line = {model.path: model for artifact in audited for model in training_ancestors(library, artifact)}
    return [model for model in line.values() if isinstance(model, Checkpoint) and model.rollout_tables()]


def _gradable(artifact: Artifact, domains: Collection[Domain], skipped: list[str]) -> list[Domain]:
    """Returns the reasoning domains among `domains` that this machine can grade."""
    found = [domain for domain in DOMAINS if DOMAINS[domain].reasoning and domain in domains]
    if "code" in found and (problem := sandbox_problem()):
        found.remove("code")
        skipped.append(f"verdicts on code in {artifact.name}: {problem}")
    return found


def _problems(library: Library, artifact: Artifact) -> list[ProblemSet]:
    return [each for each in library.upstream(artifact) if isinstance(each, ProblemSet)]


def _heldout(library: Library, corpus: Corpus) -> list[ProblemSet]:
    """Returns the problems that were kept out of `corpus`, or out of what was made from it."""
    screened = (corpus, *(reader for reader, _ in library.downstream(corpus)))
    found = [source for each in screened for source in library.sources(each, is_exclusion_edge)]
    return [source for source in found if isinstance(source, ProblemSet)]


def _readable(artifact: Artifact, checks: Iterator[Finding]) -> Iterator[Finding]:
    """Yields the findings of `checks` as far as the tables can be read and hold records; `check_files` names a damaged
    file."""
    import polars as pl

    try:
        yield from checks
    except (pl.exceptions.PolarsError, OSError) as error:
        yield finding(artifact, "rows", f"cannot be read: {str(error).splitlines()[0]}")
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        yield finding(artifact, "rows", f"are not records: {where} {first['input']!r}: {first['msg']}")


def _audited(artifact: Artifact) -> AuditedArtifact:
    return AuditedArtifact(
        name=artifact.name,
        fingerprint=artifact.manifest.fingerprint,
        digest=artifact.digest,
        manifest=sha256_of(artifact.path / MANIFEST),
    )
