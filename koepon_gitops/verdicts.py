"""One policy's expressions, compiled; what they say of one object (apiserver `policy/validating/validator.go`)."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple, Protocol

from koepon_gitops import cel
from koepon_gitops.admission import Policy, Request, Validation
from koepon_gitops.errors import UncheckableError
from koepon_gitops.model import Json

_ALWAYS = ("object", "oldObject", "request", "namespaceObject")
_REQUEST = frozenset(
    {"kind", "resource", "subResource", "requestKind", "requestResource", "requestSubResource"}
    | {"name", "namespace", "operation"}
)
"""The fields of `request` that follow from the object; who asks, and how, is not known."""
LONGEST_MESSAGE = 5 * 1024
"""Bytes; a longer result of messageExpression is not used (`MaxEvaluatedMessageExpressionSizeBytes`)."""


class Subject:
    """One object about to be created, as expressions see it; handed to the engine once for all policies."""

    def __init__(self, content: Json, request: Request, namespace: Json | None) -> None:
        self.content, self.request, self.namespace = content, request, namespace

    @cached_property
    def plain(self) -> cel.Activation:
        """Without parameters."""
        return cel.activation(self._values, _ALWAYS)

    def with_parameters(self, parameters: Json | None) -> cel.Activation:
        """`params` is null when the binding refers to none."""
        return cel.activation({**self._values, "params": parameters}, (*_ALWAYS, "params"))

    @cached_property
    def _values(self) -> Mapping[str, Any]:
        asked = self.request
        kind = {"group": asked.group, "version": asked.version, "kind": asked.kind}
        resource = {"group": asked.group, "version": asked.version, "resource": asked.resource}
        request = {
            "kind": kind,
            "resource": resource,
            "requestKind": kind,
            "requestResource": resource,
            "name": asked.name,
            "operation": "CREATE",
        }
        if asked.namespaced:
            request["namespace"] = asked.namespace
        return {"object": self.content, "oldObject": None, "request": request, "namespaceObject": self.namespace}


class Unsupported(Protocol):
    """Makes the error for an expression at a path of the policy."""

    def __call__(self, what: str, *path: str | int) -> UncheckableError: ...


class Refusal(NamedTuple):
    """Why an object is refused. `failed`: an expression could not be evaluated, and that counts as a refusal."""

    message: str
    failed: bool = False


class _Expression(NamedTuple):
    """A compiled expression and its text."""

    text: str
    program: cel.Program

    def error(self, outcome: Any) -> str:
        return f"expression '{' '.join(self.text.split())}' resulted in error: {outcome}"


class _Rule(NamedTuple):
    """A compiled validation."""

    test: _Expression
    message: _Expression | None
    validation: Validation


class Verdicts:
    """A compiled policy. Raises what `unsupported` makes for the first expression that can't be evaluated here."""

    def __init__(self, policy: Policy, unsupported: Unsupported) -> None:
        self._spec, self._unsupported = policy.spec, unsupported
        self._ignores_errors = policy.spec.failurePolicy == "Ignore"
        self._variables = (*_ALWAYS, "params") if policy.spec.paramKind else _ALWAYS
        self._named: dict[str, str] = {}
        self.uses_namespace = False
        """Whether an expression looks at `namespaceObject`."""
        self._conditions = [
            self._compiled(each.expression, ("BOOL",), "matchConditions", index, "expression")
            for index, each in enumerate(policy.spec.matchConditions)
        ]
        for index, variable in enumerate(policy.spec.variables):
            compiled = self._compiled(variable.expression, (), "variables", index, "expression")
            if compiled.program.type.startswith("optional"):
                what = "a variable holds an optional, of which cel-go reads no field; end its expression with `orValue`"
                raise unsupported(what, "spec", "variables", index, "expression")
            self._named[variable.name] = variable.expression
        self._rules = [self._rule(index, each) for index, each in enumerate(policy.spec.validations)]
        self._annotations = [
            self._compiled(
                each.valueExpression, ("STRING", "NULL", "DYN"), "auditAnnotations", index, "valueExpression"
            )
            for index, each in enumerate(policy.spec.auditAnnotations)
        ]
        self._accepts = self._all_at_once()

    def _rule(self, index: int, validation: Validation) -> _Rule:
        test = self._compiled(validation.expression, ("BOOL",), "validations", index, "expression")
        if not validation.messageExpression:
            return _Rule(test, None, validation)
        message = self._compiled(
            validation.messageExpression, ("STRING", "DYN"), "validations", index, "messageExpression"
        )
        return _Rule(test, message, validation)

    def _compiled(self, expression: str, types: Sequence[str], *path: str | int) -> _Expression:
        for name, field in cel.identifiers(expression):
            self.uses_namespace |= name == "namespaceObject"
            if name == "request" and field not in _REQUEST:
                raise self._unsupported(f"`request.{field}` is known to the cluster only", "spec", *path)
        try:
            program = cel.compile(expression, self._variables, self._named)
        except UncheckableError as error:
            raise self._unsupported(error.what.removesuffix("."), "spec", *path) from error
        if types and program.type not in types:
            wanted = types[0].lower()
            raise self._unsupported(f"it has to give a {wanted}, and gives {program.type.lower()}", "spec", *path)
        return _Expression(expression, program)

    def _all_at_once(self) -> cel.Program | None:
        """Everything in one program, several times faster when all is well; None when it is too large to be one."""
        if self._annotations:
            return None
        tests = [*(each.text for each in self._conditions), *(each.test.text for each in self._rules)]
        try:
            return cel.compile(" && ".join(f"({text}\n)" for text in tests), self._variables, self._named)
        except UncheckableError:
            return None

    def violations(self, subject: Subject, parameters: Json | None) -> list[Refusal]:
        """Why the object is refused, one for each validation that fails; empty when it is accepted."""
        values = subject.with_parameters(parameters) if self._spec.paramKind else subject.plain
        if self._accepts and self._accepts.evaluate(values) is True:
            return []
        errors = []
        for condition in self._conditions:
            outcome = condition.program.evaluate(values)
            if outcome is False:
                return []
            if outcome is not True:
                errors.append(condition.error(outcome))
        if errors:
            return [] if self._ignores_errors else [Refusal("; ".join(errors), failed=True)]
        return [*self._refusals(values), *self._bad_annotations(values)]

    def _refusals(self, values: cel.Activation) -> Iterator[Refusal]:
        for rule in self._rules:
            outcome = rule.test.program.evaluate(values)
            if outcome is False:
                yield Refusal(_message(rule, values))
            elif outcome is not True and not self._ignores_errors:
                yield Refusal(rule.test.error(outcome), failed=True)

    def _bad_annotations(self, values: cel.Activation) -> Iterator[Refusal]:
        """An annotation for the audit log changes nothing, unless it can't be computed."""
        for annotation in self._annotations:
            outcome = annotation.program.evaluate(values)
            if isinstance(outcome, cel.CelError) and not self._ignores_errors:
                yield Refusal(annotation.error(outcome), failed=True)
            elif not isinstance(outcome, str | cel.CelError) and outcome is not None:
                yield Refusal(annotation.error("it gives neither text nor null"), failed=True)


def _message(rule: _Rule, values: cel.Activation) -> str:
    said = rule.message.program.evaluate(values) if rule.message else ""
    words = said.strip() if isinstance(said, str) else ""
    if "\n" in words or len(words.encode()) > LONGEST_MESSAGE:
        words = ""
    return words or rule.validation.message.strip() or f"failed expression: {' '.join(rule.test.text.split())}"
