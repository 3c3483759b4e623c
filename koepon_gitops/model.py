"""The values that travel between modules. All are frozen; all print themselves as a person would write them."""

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field

from koepon_gitops.errors import GitOpsError, UncheckableError

type Json = Mapping[str, Any]
"""A Kubernetes object, or a part of one, as the API server would hold it in JSON."""


class Value(BaseModel):
    """A frozen value; unknown fields are refused, so that a misspelt key in a data file is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Severity(StrEnum):
    """How much a finding weighs. Only errors make `validate` exit with 1."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class ObjectId(Value):
    """Which Kubernetes object: the coordinates the API server knows it by."""

    apiVersion: str
    kind: str
    namespace: str = ""
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"

    @property
    def group(self) -> str:
        """API group; empty for the core group."""
        return self.apiVersion.rpartition("/")[0]

    @classmethod
    def of(cls, content: Json) -> Self:
        """Read from an object that has passed `manifests.read` (apiVersion, kind and metadata are there)."""
        metadata = content.get("metadata") or {}
        return cls(
            apiVersion=str(content.get("apiVersion", "")),
            kind=str(content.get("kind", "")),
            namespace=str(metadata.get("namespace") or ""),
            name=str(metadata.get("name") or metadata.get("generateName") or ""),
        )


class SourceKind(StrEnum):
    """How Argo CD would turn a source into objects."""

    KUSTOMIZE = "kustomize"
    DIRECTORY = "directory"
    HELM = "helm"
    PLUGIN = "plugin"
    REFERENCE = "reference"


class Source(Value):
    """One source of an Application, as declared. `path` is relative to the repository root, in posix form."""

    repo_url: str
    path: str = ""
    revision: str = ""
    chart: str = ""
    ref: str = ""
    kustomize: dict[str, Any] = Field(default_factory=dict)
    directory: dict[str, Any] = Field(default_factory=dict)
    helm: dict[str, Any] = Field(default_factory=dict)
    plugin: dict[str, Any] = Field(default_factory=dict)


class Application(Value):
    """An Argo CD Application: what is synced from where to where. `file`:`line` is where a person wrote it."""

    name: str
    namespace: str = "argocd"
    project: str = "default"
    cluster: str = ""
    """`destination.name`, else `destination.server`."""
    destination_namespace: str = ""
    sources: tuple[Source, ...]
    file: str = ""
    line: int = 0
    content: dict[str, Any] = Field(default_factory=dict)
    """The whole object, for the policies that look at it."""

    def __str__(self) -> str:
        return self.name


class Rendering(Value):
    """What one source became: its objects in order, and every repository file that was read, nearest overlay first."""

    objects: tuple[dict[str, Any], ...]
    files: tuple[str, ...]
    digest: str
    """Hex sha-256 of everything the objects depend on: the key of every result computed from them."""
    cached: bool = False


class Problem(Value):
    """What a schema says against one object: `field` as `spec.containers[0].image`, empty for the whole object."""

    rule: str
    field: str
    message: str


class Manifest(Value):
    """One object that Argo CD would apply, or Crossplane for a claim.

    `files` are those its source was made of, nearest overlay first.
    """

    application: str
    cluster: str
    id: ObjectId
    content: dict[str, Any]
    files: tuple[str, ...] = ()
    claim: ObjectId | None = None
    """The claim it is composed from; then it is in no file, and `files` are those of the claim."""


class Image(Value):
    """A container image reference. `str()` gives `name:tag@digest` with the parts that are there."""

    name: str
    tag: str = ""
    digest: str = ""

    def __str__(self) -> str:
        return f"{self.name}{':' if self.tag else ''}{self.tag}{'@' if self.digest else ''}{self.digest}"

    @classmethod
    def parse(cls, reference: str) -> Self:
        """Split `registry:port/name:tag@sha256:...` by the rules of the distribution specification."""
        rest, _, digest = reference.partition("@")
        head, slash, last = rest.rpartition("/")
        last, _, tag = last.partition(":")
        return cls(name=f"{head}{slash}{last}", tag=tag, digest=digest)


class Rule(Value):
    """A policy or a check, in the words a person reads: what `explain` prints and findings quote."""

    id: str
    title: str
    requirement: str
    reason: str
    remedy: str
    severity: Severity = Severity.ERROR
    file: str = ""


class Finding(Value):
    """One thing that is wrong, where to mend it, and how."""

    rule: str
    severity: Severity
    requirement: str = ""
    application: str = ""
    object: ObjectId | None = None
    path: str = ""
    """Repository file that a person edits, relative to the root, posix."""
    line: int = 0
    message: str
    remedy: str = ""
    field: str = ""
    """The field in the object (`spec.replicas`), used to find the line; not part of the JSON contract."""
    unchecked: bool = False
    """The pipeline could not decide: exit code 3. Not part of the JSON contract."""

    @classmethod
    def of_error(cls, error: GitOpsError, application: str = "") -> Self:
        """The same sentence as a finding, for errors that concern one application only."""
        path, line = _split_place(error.where)
        return cls(
            rule=error.rule,
            severity=Severity.ERROR,
            application=application,
            path=path,
            line=line,
            message=error.what,
            remedy=error.remedy,
            unchecked=isinstance(error, UncheckableError),
        )

    @property
    def sort_key(self) -> tuple[Any, ...]:
        """Reports are in this order whatever the order of discovery."""
        where = str(self.object) if self.object else ""
        return self.application, self.path, self.line, where, self.rule, self.field, self.message


def _split_place(where: str) -> tuple[str, int]:
    path, _, line = where.rpartition(":")
    return (path, int(line)) if path and line.isdecimal() else (where, 0)


class Summary(Value):
    """Counts of one run. `seconds` is wall-clock time."""

    applications: int = 0
    objects: int = 0
    claims: int = 0
    managed_resources: int = 0
    rules: int = 0
    waived: int = 0
    findings: int = 0
    seconds: float = 0.0


class Waived(Value):
    """A finding that a waiver covers, with the waiver's words."""

    finding: Finding
    reason: str
    owner: str
    ticket: str
    expires: str


class Report(Value):
    """The result of `validate`: what every format prints."""

    summary: Summary
    findings: tuple[Finding, ...] = ()
    waived: tuple[Waived, ...] = ()
    rules: tuple[Rule, ...] = ()
    notes: tuple[str, ...] = ()
    """Sentences for the text summary: sources not rendered and why, no policies found, cached."""

    @property
    def exit_code(self) -> int:
        """0 clean, 1 errors found, 3 something could not be checked; 3 wins."""
        if any(finding.unchecked for finding in self.findings):
            return 3
        return int(any(finding.severity is Severity.ERROR for finding in self.findings))


def in_order(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Each finding once, in report order."""
    seen = set()
    for finding in sorted(findings, key=lambda each: each.sort_key):
        if (key := (finding.sort_key, finding.severity)) not in seen:
            seen.add(key)
            yield finding
