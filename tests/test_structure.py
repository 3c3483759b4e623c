"""Rules of custom kinds (`x-kubernetes-validations`) on objects their schemas accept."""

from typing import Any

import pytest

from koepon_gitops import schemas
from koepon_gitops.errors import UncheckableError
from tests.test_crds import STRING, definition, fields, said, widget


def rule(expression: str, **more: str) -> dict[str, Any]:
    return {"rule": expression, **more}


def ruled(*rules: dict[str, Any], **properties: Any) -> dict[str, Any]:
    return {**fields(**properties), "x-kubernetes-validations": list(rules)}


INTEGER = {"type": "integer"}


def test_a_rule_speaks_its_message() -> None:
    schema = ruled(rule("self.low <= self.high", message="low must not exceed high"), low=INTEGER, high=INTEGER)
    assert said(schema, {"low": 1, "high": 2}) == []
    assert said(schema, {"low": 3, "high": 2}) == ["spec is refused: low must not exceed high."]


def test_without_a_message_the_rule_is_shown() -> None:
    assert said(ruled(rule("has(self.a)"), a=STRING), {}) == ["spec is refused: it must satisfy `has(self.a)`."]


def test_a_message_may_be_computed_and_name_a_field() -> None:
    entry = rule("self.a == 'x'", messageExpression="'not ' + self.a", fieldPath=".a")
    [problem] = schemas.load([definition(ruled(entry, a=STRING))]).validate(widget({"a": "y"}))
    assert (problem.field, problem.message) == ("spec.a", "spec.a is refused: not y.")


def test_rules_see_defaults_and_no_nulls() -> None:
    schema = ruled(rule("self.a == 'x' && !has(self.b)"), a={**STRING, "default": "x"}, b=STRING)
    assert said(schema, {"b": None}) == []


def test_transition_rules_have_nothing_to_compare_with() -> None:
    assert said(ruled(rule("self.a == oldSelf.a"), a=STRING), {"a": "y"}) == []


def test_rules_apply_to_every_entry() -> None:
    item = {**STRING, "x-kubernetes-validations": [rule("self.startsWith('a')", message="must start with a")]}
    schema = fields(names={"type": "array", "items": item}, by={"type": "object", "additionalProperties": item})
    assert said(schema, {"names": ["a", "b"], "by": {"k": "c"}}) == [
        "spec.names[1] is refused: must start with a.",
        "spec.by[k] is refused: must start with a.",
    ]


def test_reserved_names_are_escaped() -> None:
    schema = ruled(rule("self.__namespace__ == 'x' && self.a__dash__b == 'y'"), **{"namespace": STRING, "a-b": STRING})
    assert said(schema, {"namespace": "x", "a-b": "y"}) == []
    assert len(said(schema, {"namespace": "x", "a-b": "z"})) == 1


def test_a_rule_that_fails_itself_refuses() -> None:
    [message] = said(ruled(rule("self.a == 'x'", message="a must be x"), a=STRING), {})
    assert message.startswith("spec is refused: a must be x (the rule itself failed")


def test_an_aws_resource_without_a_required_parameter() -> None:
    provider = {"region": "ap-northeast-1"}
    content = {
        "apiVersion": "rds.aws.m.upbound.io/v1beta1",
        "kind": "Instance",
        "metadata": {"name": "db"},
        "spec": {"forProvider": provider},
    }
    library = schemas.load()
    assert [problem.message for problem in library.validate(content)] == [
        "spec is refused: spec.forProvider.instanceClass is a required parameter."
    ]
    provider["instanceClass"] = "db.t4g.medium"
    assert library.validate(content) == ()
    del provider["instanceClass"]
    content["spec"]["managementPolicies"] = ["Observe"]
    assert library.validate(content) == ()


@pytest.mark.parametrize("value", ["", "has(", "self.nonsense("])
def test_a_rule_that_does_not_compile_can_not_be_checked(value: str) -> None:
    with pytest.raises(UncheckableError, match="can't be compiled"):
        said(ruled(rule(value), a=STRING), {})
