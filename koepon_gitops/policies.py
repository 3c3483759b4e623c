"""The repository's admission policies, judged as the API server judges them when an object is created.

Semantics follow apiserver `admission/plugin/policy/validating` (1.36). What can't be decided from the tree alone is
a finding that says so or an UncheckableError, never a pass.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from koepon_gitops import policy_files
from koepon_gitops.admission import NAMESPACE_NAME, Binding, Match, Request, exempt
from koepon_gitops.cache import key
from koepon_gitops.errors import UncheckableError
from koepon_gitops.model import Finding, Json, Manifest, ObjectId, Rule, Severity
from koepon_gitops.policy_files import PolicyFile
from koepon_gitops.schemas import Schemas

if TYPE_CHECKING:
    from koepon_gitops.verdicts import Subject, Verdicts

type Namespaces = Mapping[str, Mapping[str, Json]]
"""Cluster -> name -> Namespace object."""
type Parameters = Mapping[str, Mapping[str, Json]]
"""`apiVersion/Kind` -> `namespace/name` -> object; of one cluster."""


def load(directory: Path, root: Path | None = None) -> "PolicySet":
    """Read every policy of a folder: a file holds one, named like it, with its bindings. No folder: no policies.

    Rules and errors name files relative to `root`. Raises ManifestError policies/{invalid,unbound}.
    """
    return PolicySet([Installed(file) for file in policy_files.read(directory, root)])


def sound(directory: Path, root: Path) -> tuple["PolicySet", tuple[Finding, ...]]:
    """The policies of a folder that can be judged, and findings about the others; one bad file hides no other."""
    files, findings = policy_files.sound(directory, root)
    return PolicySet([Installed(file) for file in files]), findings


_ANNOTATION = "koepon.com/"
_WEIGHT = {"Deny": Severity.ERROR, "Warn": Severity.WARNING, "Audit": Severity.INFO}


class Installed:
    """A policy with its bindings. Its expressions are compiled when the first object is judged."""

    def __init__(self, file: PolicyFile) -> None:
        self.file, self.spec, self.bindings = file, file.policy.spec, file.bindings
        metadata = file.policy.metadata
        said = {name.removeprefix(_ANNOTATION): text.strip() for name, text in metadata.annotations.items()}
        self.field = said.get("field", "")
        self.rule = Rule(
            id=metadata.name,
            title=said.get("title", metadata.name),
            requirement=said.get("requirement", ""),
            reason=said.get("reason", ""),
            remedy=said.get("remedy", ""),
            severity=_heaviest(severity(each) for each in self.bindings),
            file=file.name,
        )

    def concerns(self, group: str, resource: str, *, namespaced: bool) -> bool:
        """Whether any object of this kind can matter to it."""
        rules = self.spec.matchConstraints.resourceRules
        return any(rule.concerns(group, resource, namespaced=namespaced) for rule in rules)

    @cached_property
    def verdicts(self) -> "Verdicts":
        """The compiled policy. Raises UncheckableError policies/unsupported with the line."""
        from koepon_gitops.verdicts import Verdicts  # noqa: PLC0415 - the engine is not loaded when all is cached

        return Verdicts(self.file.policy, self._unsupported)

    def _unsupported(self, what: str, *path: str | int) -> UncheckableError:
        return UncheckableError(
            "policies/unsupported",
            f"The policy {self.rule.id} can't be checked here: {what}.",
            where=self.file.place.line(*path),
            remedy="Write it with what Kubernetes' CEL offers and a tree can answer.",
        )


def severity(binding: Binding) -> Severity:
    """The heaviest of its actions."""
    return _heaviest(_WEIGHT[action] for action in binding.spec.validationActions)


def _heaviest(severities: Iterator[Severity]) -> Severity:
    return min(severities, key=list(Severity).index)


class PolicySet:
    """All policies of a repository."""

    def __init__(self, installed: Sequence[Installed]) -> None:
        self._installed = tuple(installed)
        self.rules = tuple(each.rule for each in installed)
        self._kinds: dict[tuple[str, str], _Kind] = {}
        self._schemas: Schemas | None = None

    @cached_property
    def digest(self) -> str:
        """Changes when any verdict could."""
        texts = [part for each in self._installed for part in (each.file.name, each.file.text)]
        return key(*texts, *(Path(__file__).with_name(f"{name}.py").read_bytes() for name in _CODE))

    def parameters(self, manifests: Sequence[Manifest]) -> Parameters:
        """Of the objects of a cluster, those that are of a kind some policy takes parameters from."""
        found: dict[str, dict[str, Json]] = {
            str(each.spec.paramKind): {} for each in self._installed if each.spec.paramKind
        }
        for manifest in manifests if found else ():
            kind = f"{manifest.id.apiVersion}/{manifest.id.kind}"
            if kind in found:
                found[kind][f"{manifest.id.namespace}/{manifest.id.name}"] = manifest.content
        return found

    def evaluate(
        self,
        manifests: Sequence[Manifest],
        namespaces: Namespaces,
        parameters: Mapping[str, Parameters],
        schemas: Schemas,
        malformed: Collection[ObjectId] = (),
    ) -> Iterator[Finding]:
        """What the policies say of each object, in order. `namespaces`, `parameters`: by cluster, of the whole tree.

        Of `malformed` objects, which a schema refuses, only what they violate is said: an expression that can't be
        evaluated on them follows from what the schema says.
        Raises UncheckableError policies/unsupported when a policy does not compile, whatever the objects are.
        """
        if schemas is not self._schemas:
            self._kinds, self._schemas = {}, schemas
        compiled = [each.verdicts for each in self._installed]
        unknown: set[tuple[str, str, str]] = set()
        for manifest in manifests if compiled else ():
            try:
                kind = self._kind(manifest, schemas)
            except UncheckableError as error:
                finding = Finding.of_error(error, manifest.application)
                yield finding.model_copy(update={"object": manifest.id, "path": "", "line": 0})
                continue
            if kind.policies:
                judge = _Judge(manifest, kind, namespaces, parameters, schemas)
                judge.is_malformed = manifest.id in malformed
                for finding in judge.findings():
                    place = (manifest.application, manifest.cluster, manifest.id.namespace)
                    if finding.rule != UNKNOWN_NAMESPACE or place not in unknown:
                        yield finding
                    if finding.rule == UNKNOWN_NAMESPACE:
                        unknown.add(place)

    def _kind(self, manifest: Manifest, schemas: Schemas) -> "_Kind":
        identity = manifest.id
        if (known := self._kinds.get((identity.apiVersion, identity.kind))) is None:
            resource = schemas.plural(identity.apiVersion, identity.kind)
            namespaced = schemas.is_namespaced(identity.apiVersion, identity.kind)
            policies = () if exempt(manifest.content) else self._installed
            concerned = [each for each in policies if each.concerns(identity.group, resource, namespaced=namespaced)]
            known = self._kinds[identity.apiVersion, identity.kind] = _Kind(resource, namespaced, tuple(concerned))
        return known


UNKNOWN_NAMESPACE = "policies/unknown-namespace"
_CODE = ("admission", "cel", "cel_library", "cel_values", "policies", "verdicts")


class _Kind(NamedTuple):
    """What is the same for all objects of a kind. `policies`: those that any of them can matter to."""

    resource: str
    namespaced: bool
    policies: tuple[Installed, ...]


_ALWAYS_THERE = frozenset({"default", "kube-system", "kube-public", "kube-node-lease"})
"""Namespaces every cluster has, declared or not, with no label but their name."""


class _Judge:
    """One object before the policies that concern its kind."""

    def __init__(
        self,
        manifest: Manifest,
        kind: _Kind,
        namespaces: Namespaces,
        parameters: Mapping[str, Parameters],
        schemas: Schemas,
    ) -> None:
        self._manifest, self._kind, self._schemas = manifest, kind, schemas
        self.is_malformed = False
        self._parameters = parameters.get(manifest.cluster, {})
        metadata = manifest.content.get("metadata") or {}
        namespace = (manifest.id.namespace or "default") if kind.namespaced else ""
        self._namespace = _namespace_object(namespace, namespaces.get(manifest.cluster, {})) if namespace else None
        labels = _labels(metadata)
        if kind.namespaced:
            around = self._namespace["metadata"]["labels"] if self._namespace else None
        else:
            around = {**labels, NAMESPACE_NAME: manifest.id.name}
        self._request = Request(
            group=manifest.id.group,
            version=manifest.id.apiVersion.rpartition("/")[2],
            kind=manifest.id.kind,
            resource=kind.resource,
            namespaced=kind.namespaced,
            namespace=namespace,
            name=str(metadata.get("name") or ""),
            labels=labels,
            namespace_labels=around,
            served=self._is_served,
        )

    def _is_served(self, version: str) -> bool:
        group = self._manifest.id.group
        return self._schemas.knows(f"{group}/{version}" if group else version, self._manifest.id.kind)

    @cached_property
    def _subject(self) -> "Subject":
        from koepon_gitops.verdicts import Subject  # noqa: PLC0415 - as above

        return Subject(self._schemas.held(self._manifest.content), self._request, self._namespace)

    def findings(self) -> Iterator[Finding]:
        for policy in self._kind.policies:
            meant = policy.spec.matchConstraints.matches(self._request)
            if meant is not Match.NO:
                yield from self._bound(policy, meant)

    def _bound(self, policy: Installed, meant: Match) -> Iterator[Finding]:
        bound = [(each, each.spec.matchResources.matches(self._request)) for each in policy.bindings]
        bound = [(binding, match) for binding, match in bound if match is not Match.NO]
        undeclared = self._kind.namespaced and self._namespace is None
        if bound and (
            (undeclared and policy.verdicts.uses_namespace)
            or Match.UNKNOWN_NAMESPACE in {meant, *(match for _, match in bound)}
        ):
            yield self._unknown_namespace()
        elif bound and meant is Match.CONVERTED:
            yield self._needs_conversion(policy)
        else:
            for binding, _ in bound:
                yield from self._judged(policy, binding)

    def _judged(self, policy: Installed, binding: Binding) -> Iterator[Finding]:
        try:
            parameters = self._parameters_of(policy, binding)
        except _BindingError as error:
            if policy.spec.failurePolicy == "Fail":
                yield self._finding(policy, Severity.ERROR, f"failed to configure binding: {error}")
            return
        for each in parameters:
            for refusal in policy.verdicts.violations(self._subject, each):
                if not (refusal.failed and self.is_malformed):
                    yield self._finding(policy, severity(binding), refusal.message)

    def _parameters_of(self, policy: Installed, binding: Binding) -> Sequence[Json | None]:
        """`generic.CollectParams`: what the policy is judged with, each in turn; nothing is not an error by itself."""
        kind, reference = policy.spec.paramKind, binding.spec.paramRef
        if not kind or not reference:
            return (None,)
        namespace = ""
        if self._schemas.is_namespaced(kind.apiVersion, kind.kind):
            namespace = reference.namespace or self._request.namespace
            if not namespace:
                raise _BindingError("a namespaced paramRef can't be used for cluster-scoped resources")
        elif reference.namespace:
            raise _BindingError("paramRef.namespace must not be provided for a cluster-scoped paramKind")
        there = self._parameters.get(str(kind), {})
        found = [
            content
            for name, content in sorted(there.items())
            if name.partition("/")[0] == namespace
            and (
                reference.selector.matches(_labels(content["metadata"]))
                if reference.selector
                else name == f"{namespace}/{reference.name}"
            )
        ]
        if not found and reference.parameterNotFoundAction == "Deny":
            raise _BindingError("no params found for policy binding with `Deny` parameterNotFoundAction")
        return found

    def _finding(self, policy: Installed, weight: Severity, message: str) -> Finding:
        return Finding(
            rule=policy.rule.id,
            severity=weight,
            requirement=policy.rule.requirement,
            application=self._manifest.application,
            object=self._manifest.id,
            field=policy.field,
            message=message,
            remedy=policy.rule.remedy,
        )

    def _unchecked(self, rule: str, message: str, remedy: str) -> Finding:
        return Finding(
            rule=rule,
            severity=Severity.ERROR,
            application=self._manifest.application,
            object=self._manifest.id,
            field="metadata.namespace" if rule == UNKNOWN_NAMESPACE else "apiVersion",
            message=message,
            remedy=remedy,
            unchecked=True,
        )

    def _unknown_namespace(self) -> Finding:
        name, cluster = self._request.namespace, self._manifest.cluster
        return self._unchecked(
            UNKNOWN_NAMESPACE,
            f"Which policies apply in {name} is not known: the tree declares no such Namespace on {cluster}.",
            "Commit the Namespace with its labels, or correct the name.",
        )

    def _needs_conversion(self, policy: Installed) -> Finding:
        identity = self._manifest.id
        return self._unchecked(
            "policies/unsupported",
            f"The policy {policy.rule.id} sees {identity.kind} in another version than {identity.apiVersion}, "
            "and objects are not converted here.",
            "Write the object in a version that the policy lists, or list this version in the policy.",
        )


class _BindingError(Exception):
    """A binding that can't be applied to an object."""


def _labels(metadata: Json) -> Json:
    """The labels; what is none is refused by the schema, and none to the policies."""
    labels = metadata.get("labels")
    return labels if isinstance(labels, dict) else {}


def _namespace_object(name: str, declared: Mapping[str, Json]) -> Json | None:
    """`namespaceObject`, with the label the API server adds; None when there is no knowing."""
    content = declared.get(name)
    if content is None and name not in _ALWAYS_THERE:
        return None
    metadata = (content or {}).get("metadata") or {}
    labels = {**_labels(metadata), NAMESPACE_NAME: name}
    kept = {part: value for part, value in (content or {}).items() if part in {"spec", "status"}}
    return {**kept, "metadata": {**metadata, "name": name, "labels": labels}}
