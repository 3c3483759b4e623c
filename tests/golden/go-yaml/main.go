// What Kubernetes' YAML library makes of scalars and documents that libraries read differently.
//
//	go run . > ../go-yaml.json
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"sigs.k8s.io/yaml"
)

var scalars = strings.Fields(`
y Y yes Yes YES yEs n N no No NO nO true True TRUE tRUE false False FALSE on On ON oN off Off OFF ~ null Null NULL nULL none
0 -0 +0 00 1 -1 +1 +-1 --1 007 010 0644 08 09 018 -010 +010 0o17 0O17 -0o17 0o8 0x1F 0X1f -0x1f +0x1f 0x 0xg 0b11 0B11 0b -0b11
0b-11 0b+11 0b12 1_000 _1 1_ 0_7 0x_1 1__0 -_1 1:20 190:20:30 1:60 12:30:45.5 -1:20
9223372036854775807 9223372036854775808 -9223372036854775808 -9223372036854775809 18446744073709551615 18446744073709551616
9007199254740993 123456789012345678901234567890 0xFFFFFFFFFFFFFFFF 0x10000000000000000 01777777777777777777777 100000000000000000000
1.0 1. .5 -.5 +.5 . .. ... 1.5.5 1.2.3 1e3 1E3 1e+3 1e-3 1e 1e+ e3 1.e3 .5e3 1e400 -1e400 1e-400 0e0 1_0.5 1._5 1e1_0 0.1 100.0
1e20 1e21 1e22 123456789.123456789 0.000001 0.0000001 1e-7 4e10 3.0e0 0x1p4 0x1.8 1f 1d 1L 1e10e
.inf .Inf .INF -.inf +.inf -.INF inf Inf .iNF infinity .nan .NaN .NAN nan NaN -.nan
2001-12-14 2001-12-14T21:59:43Z 2001-12-14t21:59:43.10-05:00 2001-1-1 20011214 12-14 2001-02-30 2026-01-01T00:00:00+09:00
4b7e1c09a5d2f3864e0b9c7d1a2f5e8063b4d7c1 1234567890123456789012345678901234567890 0000000000000000000000000000000000000000
1234567e10 12345e67 1e9 0e123456 00e1 1E400000 sha256:00 v1.2.3 1.10 1.20.0 01.5 0.10 10m 512Mi 0.5Gi 1Gi 100% 1/2 80:8080 8080/TCP
= << < > , a,b a:b a::b :a :a: a: -a - -- --- -1a ?a a#b a@b a%b a&b a*b a!b @a %a {} [] [a] {a} {a:} "" '' "a" 'a' "1" '1'
'it''s' "\n" "\x41" "\u3053" "\U0001F600" "\/" "\e" "\0" "\_" "\N" "\L" "\P" "\q" 'a\nb' こえ é ﬀ １ ٣ ² 😀 - x|y |x >x` + "`a" + `
!!str 1 !!int "1" !!bool yes !!float 1 !!null x !!binary aGk= !!binary ! !local x !!timestamp 2001-12-14
`)

var phrases = []string{
	"!!str 1", "!!str yes", "!!str", "!!int \"1\"", "!!int '0x1f'", "!!int a", "!!int 1.5", "!!bool \"yes\"", "!!bool y", "!!bool 1",
	"!!float 1", "!!float \"1\"", "!!float 1.5", "!!float a", "!!null \"\"", "!!null x", "!!null ~", "!!binary aGk=", "!!binary \"a\"",
	"!!binary gIGC", "! 1", "! x", "! \"1\"", "&a ! 1", "! &a 1", "[! 1]", "{! 1: a}", "!!timestamp x", "-inf", "-nan", "-Infinity", "+inf", "__1", "_0", "_1_", "_.1", "_1e3", "-_", "$1", "(1)", "/1", "!local 1", "!local x", "!!timestamp 2001-12-14", "!<tag:yaml.org,2002:int> \"3\"", "!!map {a: 1}",
	"!!seq [1]", "!!set {a}", "!!omap [a: 1]", "a b", "a  b", "1 2", "a # b", "a #b", "a#b", "\"a\" # b", "a\n  b", "a\n\n  b",
	"\"a\n  b\"", "\"a\\\n  b\"", "'a\n\n  b'", "|\n  a\n  b", "|-\n  a\n  b\n", "|+\n  a\n\n\n", ">\n  a\n  b\n\n  c", ">-\n  a\n   b\n  c",
	"|2\n   a", "|\n\n  a", "|", ">", "|-", "|1-\n  a", "|10\n  a", "- a", "? a", "a: b", "[a, b]", "[a, b,]", "[a,,b]", "[", "]", "{a: 1, b: 2}",
	"{a: 1, a: 2}", "{a, b}", "{a: }", "{\"a\":1}", "{a:1}", "{[a]: 1}", "{{a: 1}: 1}", "[a: 1]", "[? a : 1]", "&x 1", "&x", "&x y", "*x", "&x [*x]",
	"[&x 1, *x]", "{a: &x {b: 1}, c: *x}", "{a: &x {b: 1}, <<: *x}", "{b: 2, <<: {b: 1}}", "{<<: {b: 1}, b: 2}", "{<<: [{a: 1}, {a: 2, b: 3}]}",
	"{<<: 1}", "{<<: [1]}", "{<<: null}", "{\"<<\": {b: 1}}", "{!!merge <<: {b: 1}}", "{1: a}", "{true: a}", "{yes: a}", "{~: a}", "{null: a}", "{1.5: a}",
	"{1e3: a}", "{.inf: a}", "{-.inf: a}", "{.nan: a}", "{1.0: a}", "{0x1f: a}", "{0644: a}", "{1e21: a}", "{0.1: a}", "{1e-7: a}", "{3.4e39: a}",
	"{123456789.5: a}", "{9223372036854775808: a}", "{-1: a}", "{2001-12-14: a}", "{'1': a, 1: b}", "{1: a, 0x1: b}", "{a: 1, \"a\": 2}",
	"{!!binary aGk=: a}", "{? [a] : b}", "\ta", "a\t", "a\tb", "\t", "[a,\tb]", "\"a\tb\"", "\"\\uD800\"", "\"\\uD83D\\uDE00\"", "a\u0085b",
	"a\u2028b", "\"a\u2028b\"", "a\u00a0b", "\u00a0", "a\rb", "a\r\n  b", "'a\r\n  b'", "|\r\n  a\r\n  b\r\n", "\u200b", "\ue000", "\x7f",
}

var documents = []string{
	"", " ", "\n", "#", "# a\n", "~", "null", "a", "1", "[]", "{}", "- a\n- b\n", "-\n", "- - a\n  - b\n", "-\ta\n", "- a:\n    b\n  c: d\n", "a:\n- b\n- c\n",
	"a:\n- b\n -c\n", "a:\n  b\n c\n", "a: b: c\n", "a:\n  b: 1\n   c: 2\n", "a:\n    b: 1\n  c: 2\n", "a:\n\tb: 1\n", "a: 1\nb\n", "? a\n: b\n", "? a\n? b\n",
	"? [a, b]\n: c\n", ": a\n", "a : b\n", "\"a\" : b\n", "'a': b\n", "a: 'b\n", "a: \"b\n", "a: [b\n", "a: {b\n", "a: ]\n", "a: }\n", "a: b]\n",
	"a: |\n b\n  c\n", "a: |\nb\n", "a: |\n  b\n c\n", "a: >+\n  b\n\n", "a: | # c\n  b\n", "a: |\n  b", "a: |+\n  b", "a: |-\n  b", "a: >\n  b", "a: >+\n  b", "a: |+\n  b\n\n", "a: |\n", "a: |+\n", "a: |+\n\n",
	"a: |\n\n\n", "a: |\n\n  b\n", "a: |\n  b\n     \n  c\n", "a: |+\n  b\n     ", "a: |\n  b\n \n", "- a: |\n    b\n  c: d\n", "_1: a\n", "__1: a\n", "a: |# c\n  b\n", "a: &x b\nc: *x\n", "a: *x\n", "a: &x\n  b: *x\n",
	"a: &x b\nc: &x d\ne: *x\n", "&x a: b\nc: *x\n", "*x : a\n", "&k k: 1\nm: {*k : 2}\n", "a: 1\na: 2\n", "a: 1\n'a': 2\n", "1: a\n'1': b\n", "a:\n  b: 1\n  b: 2\n",
	"x: &x {a: 1, b: 2}\ny:\n  <<: *x\n  b: 3\n", "x: &x {a: 1, b: 2}\ny:\n  b: 3\n  <<: *x\n", "x: &x {a: 1}\ny: {<<: [*x, {a: 2}]}\n", "x: &x [1]\ny: {<<: *x}\n",
	"a: b\n...\n", "...\n", "a: b\n...\nc: d\n", "%YAML 1.1\n---\na: yes\n", "%YAML 1.2\n---\na: yes\n", "%TAG ! tag:example.com:\n---\na: !b c\n", "---\na: b\n", "--- a\n",
	"---\n", "--- # c\na: b\n", "a: b\n---\n", "a: b\n--- \n", "\ufeffa: b\n", "a: b\ufeff\n", "a: \ufeffb\n", "a: b\r\nc: d\r\n", "a: b\rc: d\r", "a: b\u2028c: d\n", "a: b\u0085c: d\n",
	"a: \x00\n", "a: \x01\n", "a: \x1b[1m\n", "a: \x7f\n", "a: \u0080\n", "a: \ufffe\n", "a: \ufffd\n", "a: 😀\n", "😀: a\n", "a: `b`\n", "a: @b\n", "a: %b\n", "a: !b\n",
	"a: !\n", "a: !!\n", "a: !<b\n", "a: &\n", "a: & b\n", "a: *\n", "a: ?\n", "a: ? b\n", "a: -\n", "a: - b\n", "a: :\n", "a: ,\n", "a: #\n", "a: b #c\n", "a: b#c\n",
	"a:#b\n", "a:\n#b\n", "a: \"b\"c\n", "a: 'b' c\n", "a: [b] c\n", "a: {b: c} d\n", "a: [b, # c\n  d]\n", "a: [b,\nc]\n", "a: {\n}\n", "a: {b: c,\n  d: e}\n", "a: \"b\nc\"\n",
	"a: \"\\\n  b\"\n", "a: b\n  c: d\n", "a: b\n c\n d\n", "a:\n\n\n  b\n", "a: >\n\n  b\n\n   c\n\n  d\n", "a: |2-\n    b\n", "key with spaces: a\n", "a.b/c-d_e: f\n",
	"- ? a\n  : b\n", "-a\n", "- -a\n", "--- |\n  a\n", "a: !!set {b, c}\n", "a: !!omap [b: 1]\n", "a: !!python/object:os.system {}\n", "a: 0755\nb: 0o755\n", "a: 1_000\n",
	"{\"apiVersion\": \"v1\", \"a\": [1, 2.0, 1e2, true, null, \"\\u00e9\"]}", "{\"a\": \"\\/\"}", "{a: 1,\n b: [c, d: e]}\n",
}

type answer struct {
	YAML  string          `json:"yaml"`
	JSON  json.RawMessage `json:"json,omitempty"`
	Error string          `json:"error,omitempty"`
}

func main() {
	texts := []string{}
	for _, each := range append(scalars, phrases...) {
		texts = append(texts, "value: "+each+"\n")
	}
	seen := map[string]bool{}
	answers := []answer{}
	for _, text := range append(texts, documents...) {
		if !seen[text] {
			seen[text] = true
			answers = append(answers, ask(text))
		}
	}
	fmt.Print("[")
	for index, each := range answers {
		line := bytes.Buffer{}
		writer := json.NewEncoder(&line)
		writer.SetEscapeHTML(false)
		if err := writer.Encode(each); err != nil {
			panic(err)
		}
		fmt.Print(map[bool]string{true: "\n", false: ",\n"}[index == 0], strings.TrimSpace(line.String()))
	}
	fmt.Println("\n]")
}

// ask answers as Argo CD and the API server decode: of two equal keys, the last one counts.
func ask(text string) (result answer) {
	result.YAML = text
	defer func() {
		if reason := recover(); reason != nil {
			result.Error = fmt.Sprint("panic: ", reason)
		}
	}()
	data, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		result.Error = strings.ReplaceAll(err.Error(), "\n", " ")
		return
	}
	result.JSON = data
	return
}
