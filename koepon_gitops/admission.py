"""ValidatingAdmissionPolicy and its binding as the API has them, and which requests they match.

Matching follows apiserver `admission/plugin/policy/matching` and `webhook/predicates` (1.36) for the creation of an
object. Fields are named as in the API; unknown ones are refused.
"""

from collections.abc import Callable, Iterable
from enum import Enum, auto
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import Field, StringConstraints, model_validator

from koepon_gitops.labels import Labels, LabelSelector, Text
from koepon_gitops.model import Json, Value

NAMESPACE_NAME = "kubernetes.io/metadata.name"
"""The label that the API server gives every Namespace."""

type Identifier = Annotated[str, StringConstraints(pattern="^[A-Za-z_][A-Za-z0-9_]*$")]
type Texts = Annotated[tuple[Text, ...], Field(min_length=1)]


class Request(NamedTuple):
    """What the API server knows of a request to create an object before any policy runs."""

    group: str
    version: str
    kind: str
    resource: str
    """Plural, as in URLs."""
    namespaced: bool
    namespace: str
    name: str
    """Empty when the server makes it up (`generateName`)."""
    labels: Labels
    namespace_labels: Labels | None
    """Of the Namespace it goes into, or of itself when it is one; None when the tree does not declare it."""
    served: Callable[[str], bool]
    """Whether the kind is also served under another version of its group."""


class Match(Enum):
    """Whether a policy or binding means a request."""

    NO = auto()
    YES = auto()
    CONVERTED = auto()
    """Yes, and the API server would convert the object to another version first."""
    UNKNOWN_NAMESPACE = auto()
    """It depends on the labels of a Namespace that the tree does not declare."""


class ResourceRule(Value):
    """Which resources and operations are meant; `*` is any."""

    apiGroups: Annotated[tuple[str, ...], Field(min_length=1)]
    apiVersions: Texts
    operations: Annotated[tuple[Literal["CREATE", "UPDATE", "DELETE", "CONNECT", "*"], ...], Field(min_length=1)]
    resources: Texts
    resourceNames: tuple[Text, ...] = ()
    scope: Literal["Cluster", "Namespaced", "*"] = "*"

    def concerns(self, group: str, resource: str, *, namespaced: bool) -> bool:
        """Whether it means such objects under some version."""
        return (
            _any_of(self.operations, "CREATE")
            and _any_of(self.apiGroups, group)
            and any(self._means(written, resource) for written in self.resources)
            and (self.scope == "*" or (self.scope == "Namespaced") == namespaced)
        )

    @staticmethod
    def _means(written: str, resource: str) -> bool:
        """`pods/log` and `pods/exec` are subresources, which nothing in a tree creates; `pods/*` is pods too."""
        name, slash, subresource = written.partition("/")
        return name in {"*", resource} and (not slash or subresource == "*")


def _any_of(written: Iterable[str], wanted: str) -> bool:
    return any(each in {"*", wanted} for each in written)


class MatchResources(Value):
    """`matchConstraints` of a policy and `matchResources` of a binding."""

    namespaceSelector: LabelSelector = LabelSelector()
    objectSelector: LabelSelector = LabelSelector()
    resourceRules: tuple[ResourceRule, ...] = ()
    excludeResourceRules: tuple[ResourceRule, ...] = ()
    matchPolicy: Literal["Exact", "Equivalent"] = "Equivalent"

    def matches(self, request: Request) -> Match:
        """Whether the request is meant; what can't be known counts only when all that is known fits."""
        known = self._namespace(request)
        if known is Match.NO or not self.objectSelector.matches(request.labels):
            return Match.NO
        if self._listed(self.excludeResourceRules, request) is not Match.NO:
            return Match.NO
        listed = self._listed(self.resourceRules, request) if self.resourceRules else Match.YES
        return listed if listed is Match.NO or known is Match.YES else known

    def _namespace(self, request: Request) -> Match:
        selector = self.namespaceSelector
        if not selector.keys or (not request.namespaced and request.resource != "namespaces"):
            return Match.YES
        labels = request.namespace_labels
        if labels is None:
            if selector.keys != {NAMESPACE_NAME}:
                return Match.UNKNOWN_NAMESPACE
            labels = {NAMESPACE_NAME: request.namespace}
        return Match.YES if selector.matches(labels) else Match.NO

    def _listed(self, rules: Iterable[ResourceRule], request: Request) -> Match:
        meant = [
            rule
            for rule in rules
            if rule.concerns(request.group, request.resource, namespaced=request.namespaced)
            and (not rule.resourceNames or request.name in rule.resourceNames)
        ]
        if any(_any_of(rule.apiVersions, request.version) for rule in meant):
            return Match.YES
        if self.matchPolicy == "Equivalent" and any(
            request.served(version) for rule in meant for version in rule.apiVersions
        ):
            return Match.CONVERTED
        return Match.NO


class MatchCondition(Value):
    """A policy applies only where every one of these is true."""

    name: Text
    expression: Text


class Variable(Value):
    """An expression that others use as `variables.NAME`."""

    name: Identifier
    expression: Text


class Validation(Value):
    """What has to hold. `reason` only decides the status code of the refusal."""

    expression: Text
    message: str = ""
    messageExpression: str = ""
    reason: Literal["Unauthorized", "Forbidden", "Invalid", "RequestEntityTooLarge"] = "Invalid"


class AuditAnnotation(Value):
    """What the audit log would say."""

    key: Text
    valueExpression: Text


class ParamKind(Value):
    """Of which kind a policy's parameters are."""

    apiVersion: Text
    kind: Text

    def __str__(self) -> str:
        return f"{self.apiVersion}/{self.kind}"


class ParamRef(Value):
    """Which objects a binding takes as parameters: one by name, or all that a selector selects."""

    name: str = ""
    namespace: str = ""
    selector: LabelSelector | None = None
    parameterNotFoundAction: Literal["Allow", "Deny"]

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if bool(self.name) == (self.selector is not None):
            raise ValueError("either name or selector is needed")
        return self


class Metadata(Value):
    """The parts of `metadata` that matter here."""

    name: Text
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


def _distinct(names: Iterable[str], what: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"{what} {name} is there twice")
        seen.add(name)


class PolicySpec(Value):
    """`spec` of a ValidatingAdmissionPolicy."""

    paramKind: ParamKind | None = None
    matchConstraints: MatchResources
    validations: tuple[Validation, ...] = ()
    failurePolicy: Literal["Fail", "Ignore"] = "Fail"
    auditAnnotations: tuple[AuditAnnotation, ...] = ()
    matchConditions: tuple[MatchCondition, ...] = ()
    variables: tuple[Variable, ...] = ()

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if not self.matchConstraints.resourceRules:
            raise ValueError("matchConstraints.resourceRules is required")
        if not self.validations and not self.auditAnnotations:
            raise ValueError("validations or auditAnnotations are required")
        _distinct((each.name for each in self.variables), "the variable")
        _distinct((each.name for each in self.matchConditions), "the matchCondition")
        return self


class Policy(Value):
    """A ValidatingAdmissionPolicy."""

    apiVersion: Literal["admissionregistration.k8s.io/v1"]
    kind: Literal["ValidatingAdmissionPolicy"]
    metadata: Metadata
    spec: PolicySpec


class BindingSpec(Value):
    """`spec` of a ValidatingAdmissionPolicyBinding."""

    policyName: Text
    paramRef: ParamRef | None = None
    matchResources: MatchResources = MatchResources()
    validationActions: Annotated[tuple[Literal["Deny", "Warn", "Audit"], ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        _distinct(self.validationActions, "the validationAction")
        if {"Deny", "Warn"} <= set(self.validationActions):
            raise ValueError("validationActions may not be both Deny and Warn")
        return self


class Binding(Value):
    """A ValidatingAdmissionPolicyBinding."""

    apiVersion: Literal["admissionregistration.k8s.io/v1"]
    kind: Literal["ValidatingAdmissionPolicyBinding"]
    metadata: Metadata
    spec: BindingSpec


def exempt(content: Json) -> bool:
    """Kinds no policy is asked about, lest one forbid its own repair (`IsExemptAdmissionConfigurationResource`)."""
    return str(content.get("apiVersion")).startswith("admissionregistration.k8s.io/") and content.get("kind") in _EXEMPT


_EXEMPT = frozenset(
    f"{verb}{what}"
    for verb in ("Validating", "Mutating")
    for what in ("WebhookConfiguration", "AdmissionPolicy", "AdmissionPolicyBinding")
)
