"""Defaults as the API server fills them in: examples one can read, then any value and schema against Go's algorithm."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from koepon_gitops.defaults import defaulted

STRING = {"type": "string"}
SIZE = {"type": "object", "default": {}, "properties": {"cpu": {**STRING, "default": "1"}}}

CPU = {"cpu": "1"}


def fields(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        (fields(a={**STRING, "default": "x"}), {}, {"a": "x"}),
        (fields(a={**STRING, "default": "x"}), {"a": "y"}, {"a": "y"}),
        (fields(a={**STRING, "default": ""}), {}, {"a": ""}),
        (fields(a={"type": "boolean", "default": False}), {}, {"a": False}),
        (fields(a={**STRING, "default": "x"}), {"a": None}, {"a": "x"}),
        (fields(a={**STRING, "default": "x", "nullable": True}), {"a": None}, {"a": None}),
        (fields(a=STRING), {"a": None}, {}),
        (fields(a={**STRING, "nullable": True}), {"a": None}, {"a": None}),
        (fields(), {"unknown": None}, {"unknown": None}),
        (fields(size=SIZE), {}, {"size": {"cpu": "1"}}),
        (fields(size={**SIZE, "default": None}), {}, {}),
        (fields(all={"type": "array", "items": SIZE}), {"all": [{}, {"x": 1}]}, {"all": [CPU, {"x": 1, **CPU}]}),
        (fields(all={"type": "array", "items": SIZE}), {"all": [None]}, {"all": [CPU]}),
        (fields(all={"type": "array", "items": STRING}), {"all": [None]}, {"all": [None]}),
        ({"type": "object", "additionalProperties": SIZE}, {"any": {}, "none": None}, {"any": CPU, "none": CPU}),
        ({"type": "object", "additionalProperties": STRING}, {"any": None}, {}),
        ({"type": "object", "additionalProperties": True}, {"any": None}, {"any": None}),
    ],
)  # fmt: skip
def test_a_missing_field_gets_its_default(schema: dict[str, Any], value: Any, expected: Any) -> None:
    assert defaulted(value, schema) == expected


def test_the_value_and_the_schema_stay_as_they_are() -> None:
    schema = fields(tags={"type": "object", "default": {"team": []}})
    value: dict[str, Any] = {"other": []}
    filled = defaulted(value, schema)
    filled["tags"]["team"].append("x")
    filled["other"].append("x")
    assert value == {"other": []}
    assert schema == fields(tags={"type": "object", "default": {"team": []}})


NAMES = st.sampled_from("abc")
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(0, 9), st.just("text")),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=12,
)


def _schemas(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {},
        optional={
            "nullable": st.booleans(),
            "default": VALUES,
            "properties": st.dictionaries(NAMES, inner, max_size=3),
            "additionalProperties": st.one_of(st.booleans(), inner),
            "items": inner,
        },
    )


SCHEMAS = st.recursive(st.builds(dict[str, Any]), _schemas, max_leaves=8)


@given(VALUES, SCHEMAS)
def test_it_is_what_the_api_server_does(value: Any, schema: dict[str, Any]) -> None:
    expected = copy.deepcopy(value)
    default(expected, schema)
    prune(expected, schema)
    assert defaulted(value, schema) == expected


@given(VALUES, SCHEMAS)
def test_a_second_time_changes_nothing(value: Any, schema: dict[str, Any]) -> None:
    once = defaulted(value, schema)
    assert defaulted(once, schema) == once


def default(x: Any, s: dict[str, Any] | None) -> None:
    """`Default` of algorithm.go, line by line: Go's nil schema is None here, its nil default is no default."""
    if s is None:
        return
    if isinstance(x, dict):
        for k, prop in s.get("properties", {}).items():
            if prop.get("default") is None:
                continue
            if k not in x or _non_nullable_null(x[k], prop):
                x[k] = copy.deepcopy(prop["default"])
        for k in list(x):
            if k in s.get("properties", {}):
                default(x[k], s["properties"][k])
            elif isinstance(others := s.get("additionalProperties"), dict):
                if _non_nullable_null(x[k], others):
                    x[k] = copy.deepcopy(others.get("default"))
                default(x[k], others)
    elif isinstance(x, list):
        items = s.get("items")
        for i in range(len(x)):
            if items is not None and _non_nullable_null(x[i], items):
                x[i] = copy.deepcopy(items.get("default"))
            default(x[i], items)


def prune(x: Any, s: dict[str, Any] | None) -> None:
    """`PruneNonNullableNullsWithoutDefaults` of prunenulls.go, alike."""
    if isinstance(x, dict):
        for k, v in list(x.items()):
            others = (s or {}).get("additionalProperties")
            schema = (s or {}).get("properties", {}).get(k, others if isinstance(others, dict) else None)
            if schema is not None and _non_nullable_null(v, schema) and schema.get("default") is None:
                del x[k]
            else:
                prune(v, schema)
    elif isinstance(x, list):
        for each in x:
            prune(each, (s or {}).get("items"))


def _non_nullable_null(x: Any, s: dict[str, Any]) -> bool:
    return x is None and not s.get("nullable")
