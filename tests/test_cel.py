"""Kubernetes' CEL: each answer below is what kube-apiserver 1.36 gives for the same expression."""

import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from koepon_gitops import cel
from koepon_gitops.errors import UncheckableError

TEXT = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(TEXT),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(TEXT, max_size=5), inner, max_size=4),
    max_leaves=20,
)


def value(expression: str, self: Any = None, named: dict[str, str] | None = None) -> Any:
    return cel.compile(expression, ("self",), named).evaluate({"self": self})


@pytest.mark.parametrize(
    "expression",
    [
        # the language
        "self.a.?b.orValue(3) == 3",
        "self.?l[?0].orValue(0) == 1",
        "self[?'x'].or(optional.of(2)).value() == 2",
        "!optional.none().hasValue()",
        "optional.ofNonZeroValue('').orValue('z') == 'z'",
        "self.?n.optMap(v, v + 1).orValue(0) == 8",
        "self.d == 2.0 && self.n == 7.0 && type(self.n) == int && type(self.d) == double",
        "has(self.a) && !has(self.z)",
        "self.l.all(x, x > 0) && self.l.exists_one(x, x == 1) && self.l.map(x, x * 2) == [2, 4, 6]",
        "self.l.all(i, x, x == i + 1)",
        "self.l.transformList(i, x, i + x) == [1, 3, 5]",
        "timestamp('2026-01-31T12:00:00Z').getFullYear() == 2026 && duration('90m').getHours() == 1",
        # strings
        "'a,b'.split(',') == ['a', 'b'] && ['a', 'b'].join('-') == 'a-b' && 'Ab'.lowerAscii() == 'ab'",
        "'hello'.substring(1, 3) == 'el' && 'hello'.replace('l', 'L', 1) == 'heLlo' && ' x '.trim() == 'x'",
        "'hello'.indexOf('l') == 2 && 'hello'.lastIndexOf('l') == 3 && 'hello'.charAt(1) == 'e'",
        "'%s has %d'.format(['a', 2]) == 'a has 2' && 'Ab'.upperAscii() == 'AB' && 'こえ'.size() == 2",
        # lists
        "[1, 2, 2].isSorted() && !['b', 'a'].isSorted() && [].isSorted()",
        "[1, 3].sum() == 4 && [1.5, 1.5].sum() == 3.0",
        "[3, 1].min() == 1 && ['b', 'a'].max() == 'b' && self.l.max() == 3",
        "[1, 2, 2].indexOf(2) == 1 && [1, 2, 2].lastIndexOf(2) == 2 && ['a'].indexOf('b') == -1",
        "[1, 1, 2].distinct() == [1, 2] && [3, 1].sort() == [1, 3] && [[1], [2]].flatten() == [1, 2]",
        "sets.contains([1, 2], [2]) && sets.equivalent([1, 1], [1]) && sets.intersects([1], [1, 2])",
        # regular expressions
        "'abc'.matches('^a.c$') && matches('abc', 'b') && !'abc'.matches('^b')",
        "'a1b22'.find('[0-9]+') == '1' && 'abc'.find('x') == '' && 'ab12'.find('([a-z])([0-9])') == 'b1'",
        "'a1b22c3'.findAll('[0-9]+') == ['1', '22', '3'] && 'a1b22c3'.findAll('[0-9]+', 2) == ['1', '22']",
        "'a(b'.find('[(]b') == '(b' && 'a(b'.find('\\\\(b') == '(b' && 'ab'.find('(?P<x>a)(b)') == 'ab'",
        # quantities
        "quantity('500m').isLessThan(quantity('1')) && quantity('1Gi').isGreaterThan(quantity('1G'))",
        "quantity('200M') == quantity('0.2G') && quantity('1').compareTo(quantity('1000m')) == 0",
        "quantity('50k').add(quantity('20k')) == quantity('70k') && quantity('50k').sub(20000) == quantity('30k')",
        "quantity('1.5').asApproximateFloat() == 1.5 && sign(quantity('-1')) == -1",
        "isQuantity('1.3Gi') && isQuantity('1e3') && !isQuantity('1.3GiB') && !isQuantity('')",
        # addresses
        "isIP('::1') && !isIP('1.2.3') && !isIP('::ffff:1.2.3.4') && !isIP('fe80::1%eth0') && !isIP('01.2.3.4')",
        "ip('127.0.0.1').isLoopback() && ip('::1').family() == 6 && ip.isCanonical('::1') && !ip.isCanonical('0::1')",
        "ip('224.0.0.1').isLinkLocalMulticast() && ip('169.254.169.254').isLinkLocalUnicast()",
        "ip('10.0.0.1').isGlobalUnicast() && !ip('255.255.255.255').isGlobalUnicast() && ip('::').isUnspecified()",
        "cidr('10.0.0.0/8').containsIP('10.1.2.3') && !cidr('10.0.0.0/8').containsIP(ip('11.0.0.1'))",
        "cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16') && !cidr('10.1.0.0/16').containsCIDR(cidr('10.0.0.0/8'))",
        "cidr('10.1.2.3/8').masked() == cidr('10.0.0.0/8') && cidr('10.1.2.3/8').ip() == ip('10.1.2.3')",
        "isCIDR('::/0') && !isCIDR('10.0.0.0/33') && cidr('10.0.0.0/8').prefixLength() == 8",
        "string(ip('0::1')) == '::1' && string(cidr('10.0.0.0/8')) == '10.0.0.0/8'",
        # URLs
        "isURL('https://a.b/c') && isURL('/a') && !isURL('a.b') && !isURL('https://a b') && !isURL('')",
        "url('https://a.b:80/c%20d?e=f').getHost() == 'a.b:80' && url('https://a.b:80/').getPort() == '80'",
        "url('https://[::1]:80/').getHostname() == '::1' && url('https://a/c%20d').getEscapedPath() == '/c%20d'",
        "isURL('/a b') && isURL('*') && !isURL('http://a%20b/') && !isURL('http://a/%zz') && !isURL('http://a:x/')",
        "url('http://h/a ä').getEscapedPath() == '/a%20%C3%A4' && url('/a?b=c;d').getQuery() == {}",
        "url('https://a/?e=f&e=g').getQuery() == {'e': ['f', 'g']} && url('https://a').getScheme() == 'https'",
        # versions
        "semver('1.2.3').isGreaterThan(semver('1.2.3-rc.1')) && semver('1.10.0').compareTo(semver('1.9.0')) == 1",
        "semver('1.0.0+a') == semver('1.0.0+b') && semver('1.0.0-1').isLessThan(semver('1.0.0-a'))",
        "semver('1.2.3').major() == 1 && semver('v1.2', true).patch() == 0 && isSemver('1.0.0+a')",
    ],
)
def test_true(expression: str) -> None:
    assert value(expression, {"a": {}, "l": [1, 2, 3], "n": 7, "d": 2.0}) is True


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("self.b == 1", "no such key: b"),
        ("self.a > 'x'", "No matching overloads"),
        ("1 / int(self.a) > 0", "divide by zero"),
        ("'a'.matches(self.bad)", "missing )"),
        ("'a'.find(self.bad) == ''", "missing )"),
        ("quantity('1 GB') == quantity('1')", "quantities must match"),
        ("[].min() == 1", "min called on empty list"),
        ("[dyn(1), dyn('a')].isSorted()", "no such overload"),
        ("ip('1.2.3.4').isLessThan(quantity('1'))", "not a quantity"),
        ("'abc'.findAll('x*') == []", "not supported"),
        ("lists.range(self.many).all(x, x >= 0)", "budget"),
        ("[duration(self.hour)].sum() == duration('1h')", "timedelta"),
        ("self.?a", "optional"),
    ],
)
def test_an_evaluation_that_fails_is_an_error_and_never_true(expression: str, words: str) -> None:
    outcome = value(expression, {"a": 0, "bad": "(", "many": 1_000_000, "hour": "1h"})
    assert isinstance(outcome, cel.CelError)
    assert words in str(outcome)


def test_errors_are_absorbed_as_cel_absorbs_them() -> None:
    assert value("self.b == 1 || true", {}) is True
    assert value("self.b == 1 && false", {}) is False


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "has(",
        "self.nonsense(",
        "object.a",
        "math.greatest(1, 2) == 2",
        "cel.bind(a, 1, a == 1)",
        "'ab'.reverse() == 'ba'",
        "regex.replace('a', 'a', 'b') == 'b'",
        "base64.encode(b'a') == ''",
        "format.dns1123Label().validate('a').hasValue()",
        "authorizer.group('').resource('pods').check('get').allowed()",
        "{'a': 1}.transformMap(k, v, v) == {'a': 1}",
        "__matches('a', 'a')",
        "quantity('1000m').isInteger()",
        "true) || (true",
    ],
)
def test_what_is_not_known_does_not_compile(expression: str) -> None:
    with pytest.raises(UncheckableError):
        value(expression)


def test_named_expressions_build_on_earlier_ones() -> None:
    named = {"a": "self.x // comment", "b": "variables.a + 1", "never": "self.missing"}
    assert value("variables.b == 2 && 'variables.b' != '' // variables.never", {"x": 1}, named) is True
    assert value("variables.b == 2 || variables.never == 1", {"x": 1}, named) is True
    assert isinstance(value("variables.never == 1", {"x": 1}, named), cel.CelError)


@pytest.mark.parametrize("expression", ["variables.b", "variables", "[1].all(variables, variables.a == 1)"])
def test_named_expressions_are_only_what_they_are(expression: str) -> None:
    with pytest.raises(UncheckableError):
        value(expression, {}, {"a": "variables.later", "later": "1"})


def test_a_named_expression_can_not_reach_out_of_its_brackets() -> None:
    with pytest.raises(UncheckableError, match="balanced"):
        value("variables.a", {}, {"a": "false), true || (false"})


def test_many_programs_share_one_conversion() -> None:
    shared = cel.activation({"self": {"a": 1}}, ("self",))
    assert [cel.compile(text, ("self",)).evaluate(shared) for text in ("self.a", "self.a + 1")] == [1, 2]


def test_identifiers_and_what_is_selected() -> None:
    assert list(cel.identifiers("request.userInfo.x == a.?b && 'request.name' != c // d")) == [
        ("request", "userInfo"),
        ("a", "b"),
        ("c", ""),
    ]


@given(JSON)
def test_any_json_comes_back_as_it_went_in(content: Any) -> None:
    assert value("self", content) == content


@given(st.text(string.printable))
def test_any_text_compiles_or_is_refused(text: str) -> None:
    try:
        program = cel.compile(text, ("self",), {"a": "1"})
    except UncheckableError:
        return
    program.evaluate({"self": {}})


@given(st.integers(-(10**15), 10**15), st.integers(-(10**15), 10**15))
def test_quantities_are_ordered_like_numbers(one: int, other: int) -> None:
    outcome = value("quantity(self[0] + 'm').compareTo(quantity(self[1] + 'm'))", [str(one), str(other)])
    assert outcome == (one > other) - (one < other)
