"""Templates: types kept, text rendered, braces, filters, secrets, and data that must stay data."""

import json
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.workflow import limits
from services.workflow.domain.language.errors import (
    SecretMisplaced,
    TemplateFilterFailed,
    TemplateInvalid,
    TemplateTooLarge,
    TemplateUnresolved,
)
from services.workflow.domain.language.templates import compile_template, examine_template
from shared.secrets.references import resolve_secrets

CONTEXT: dict[str, Any] = {
    "input": {
        "data": "hello",
        "n": 3,
        "ok": True,
        "nothing": None,
        "half": 0.5,
        "list": [1, "two", {"id": 7}],
        "object": {"a": 1, "b": [True, None]},
        "odd key": {"x-y": 1},
        "empty": [],
    },
    "fetch": {"status": 200, "headers": {"content-type": "text/plain"}, "body": {"items": [{"id": "a"}, {"id": "b"}]}},
    "execution": {"id": "e1"},
    "tenant": {"id": "t1"},
}


def render(template: Any, context: dict[str, Any] | None = None) -> Any:
    return compile_template(template).render(CONTEXT if context is None else context)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        # one placeholder keeps the type
        ("{input.data}", "hello"),
        ("{input.n}", 3),
        ("{input.ok}", True),
        ("{input.nothing}", None),
        ("{input.list}", [1, "two", {"id": 7}]),
        ("{ input.n }", 3),
        ("{fetch}", CONTEXT["fetch"]),
        # paths
        ("{fetch.body.items[0].id}", "a"),
        ("{fetch.body.items[-1].id}", "b"),
        ("{fetch.headers.content-type}", "text/plain"),
        ("{input['odd key'].x-y}", 1),
        ('{input["odd key"]["x-y"]}', 1),
        ("{execution.id}/{tenant.id}", "e1/t1"),
        # text around it
        ("n={input.n}", "n=3"),
        ("{input.n}{input.n}", "33"),
        (" {input.n}", " 3"),
        ("{input.object}!", '{"a":1,"b":[true,null]}!'),
        ("{input.ok} {input.nothing} {input.half}", "true null 0.5"),
        # structures, in order, keys untouched
        ({"a": "{input.n}", "b": {"c": ["x", "{input.data}"]}}, {"a": 3, "b": {"c": ["x", "hello"]}}),
        ({"{input.n}": 1}, {"{input.n}": 1}),
        ([1, None, True, 2.5], [1, None, True, 2.5]),
        # filters
        ("{input.absent | default('n/a')}", "n/a"),
        ("{input.nothing | default(0)}", 0),
        ("{absent.at.all | default(null)}", None),
        ("{input.data | default('n/a')}", "hello"),
        ("{input.object | json}", '{"a":1,"b":[true,null]}'),
        ("{input.data | json}", '"hello"'),
        ("{input.list | length}", 3),
        ("{input.data|upper}", "HELLO"),
        ("{input.data | upper | lower | length}", 5),
        ("{input.list | first}", 1),
        ("{input.list | last}", {"id": 7}),
        ("{input.empty | first | default('none')}", "none"),
        ("{input.list | join}", '1, two, {"id":7}'),
        ("{input.list | join('-')}", '1-two-{"id":7}'),
        ("{input.absent | default('  x ') | trim}", "x"),
        (r"{input.absent | default('it\'s')}", "it's"),
        ('{input.absent | default("}")}', "}"),
        # braces that are no placeholders
        ("{{input.n}}", "{input.n}"),
        ("{{{input.n}}}", "{3}"),
        ("a {{ b }} c", "a { b } c"),
        ("a }} b", "a } b"),
        ("{}", "{}"),
        ("{ }", "{ }"),
        ("{", "{"),
        ("}", "}"),
        ("{input", "{input"),
        ('{"a": 1}', '{"a": 1}'),
        ('{"a": {"b": {}}}', '{"a": {"b": {}}}'),
        ('{"a": {"b": "{input.n}"}}', '{"a": {"b": "3"}}'),
        ("if (x) {return 1}", "if (x) {return 1}"),
        ("{color: red}", "{color: red}"),
        ("[0-9]{2,3}", "[0-9]{2,3}"),
        ("{0}", "{0}"),
    ],
)
def test_renders(template: Any, expected: Any) -> None:
    rendered = render(template)
    assert rendered == expected
    assert type(rendered) is type(expected)


@pytest.mark.parametrize(
    ("template", "position"),
    [
        ("{input.}", 6),
        ("x{input.data", 12),
        ("{input.data", 11),
        ("{input[}", 6),
        ("{input['a}", 6),
        ("{input.data |}", 13),
        ("{input.data | shout}", 14),
        ("{input.data | upper('x')}", 14),
        ("{input.data | default}", 14),
        ("{input.data | default(x)}", 22),
        ("{input.data | default('a' 'b')}", 26),
        ("{input.data | join(3)}", 14),
        ("{input..data}", 6),
        ("{input.data.}", 11),
        ("{secret}", 0),
        ("{secret.A.B}", 0),
        ("a {secret.A | upper}", 2),
        ("{a" + ".b" * limits.MAX_PLACEHOLDER_CHARS + "}", 0),
        ("{a" + " | trim" * (limits.MAX_PLACEHOLDER_FILTERS + 1) + "}", 59),
    ],
)
def test_refuses_with_a_position(template: str, position: int) -> None:
    with pytest.raises(TemplateInvalid) as caught:
        compile_template({"body": [template]}, "steps[1].input")
    (only,) = caught.value.faults
    assert (only.path, only.code, only.position) == ("steps[1].input.body[0]", "template_invalid", position)


def test_reports_every_faulty_string() -> None:
    with pytest.raises(TemplateInvalid) as caught:
        compile_template({"a": "{x.}", "b": ["ok", "{y | nope}"], "c d": "{z[}"})
    assert [found.path for found in caught.value.faults] == ["a", "b[1]", "['c d']"]


@pytest.mark.parametrize(
    ("template", "missing", "known"),
    [
        ("{nope}", "'nope'", ["execution", "fetch", "input", "tenant"]),
        ("{fetch.body.total}", "'total' in 'fetch.body'", ["items"]),
        ("{fetch.body.items[2].id}", "2 in 'fetch.body.items'", ["[0]", "[1]"]),
        ("{fetch.body.items[-3].id}", "-3 in 'fetch.body.items'", ["[0]", "[1]"]),
        ("{fetch.body.items.id}", "'id' in 'fetch.body.items'", ["[0]", "[1]"]),
        ("{input.data.x}", "'x' in 'input.data'", []),
        ("{input.data[0]}", "0 in 'input.data'", []),
        ("{input.nothing.x}", "'x' in 'input.nothing'", []),
        ("{input.n.real}", "'real' in 'input.n'", []),
        ("{input.object[0]}", "0 in 'input.object'", ["a", "b"]),
        ("{input.absent | upper}", "'absent' in 'input'", sorted(CONTEXT["input"])),
        ("text {input.absent} text", "'absent' in 'input'", sorted(CONTEXT["input"])),
        ("{input.empty | first}", "first or last element in 'input.empty'", []),
    ],
)
def test_unresolved_names_the_reference_and_what_exists(template: str, missing: str, known: list[str]) -> None:
    with pytest.raises(TemplateUnresolved) as caught:
        render(template)
    error = caught.value
    assert error.code == "template_unresolved"
    assert error.details["missing"] == missing
    assert error.details["known"] == known
    assert error.details["reference"] in template


def test_unresolved_shows_no_values_and_few_names() -> None:
    with pytest.raises(TemplateUnresolved) as caught:
        render("{input.x}", {"input": {f"key{index:03}": "a value" for index in range(500)}})
    assert "a value" not in str(caught.value)
    assert len(caught.value.details["known"]) == limits.MAX_REPORTED_NAMES
    assert "and 480 more" in str(caught.value)


@pytest.mark.parametrize(
    "template",
    ["{input.n | upper}", "{input.n | length}", "{input.data | first}", "{input.object | last}", "{input.n | join}"],
)
def test_a_filter_refuses_what_it_has_no_meaning_for(template: str) -> None:
    with pytest.raises(TemplateFilterFailed):
        render(template)


def test_references_say_where_they_stand() -> None:
    template = compile_template({"url": "x/{input.id}", "items": ["{a.b[0] | default(1)}"]}, "steps[0]")
    assert [(r.root, r.text, r.path, r.position) for r in template.references] == [
        ("input", "input.id", "steps[0].url", 2),
        ("a", "a.b[0]", "steps[0].items[0]", 0),
    ]
    assert not template.is_static


def test_a_static_template_is_the_value_itself() -> None:
    value = {"a": [1, {"b": "no placeholder"}], "c": '{"json": true}'}
    template = compile_template(value)
    assert template.is_static
    assert template.render({}) is value


def test_rendering_twice_shares_nothing_that_changes() -> None:
    template = compile_template({"fixed": 1, "moving": "{input.n}"})
    first, second = template.render(CONTEXT), template.render(CONTEXT)
    assert first == second == {"fixed": 1, "moving": 3}
    assert first is not second


@pytest.mark.parametrize("text", ["{input.n}", "{{input.n}}", "{secret.KEY}", "{input.data | upper}", "}}", "{"])
def test_data_is_never_searched_for_placeholders(text: str) -> None:
    context = {"input": {"x": text, "n": 1, "data": "d"}}
    assert render("{input.x}", context) == text
    assert render("a{input.x}b", context) == f"a{text}b"
    assert render({"k": ["{input.x}"]}, context) == {"k": [text]}


class TestSecrets:
    template = compile_template(
        {
            "headers": {"authorization": "Bearer {secret.API_KEY}", "x-user": "{input.user}"},
            "list": ["{ secret.B }", "plain"],
            "both": "{secret.API_KEY}-{input.user}-{secret.B}",
        }
    )
    values: ClassVar = {"API_KEY": "k-1", "B": "b-2"}

    def test_stay_text_until_resolved(self) -> None:
        rendered = self.template.render({"input": {"user": "u"}})
        assert rendered["headers"] == {"authorization": "Bearer {secret.API_KEY}", "x-user": "u"}
        assert rendered["list"] == ["{secret.B}", "plain"]
        assert self.template.secret_paths == (("headers", "authorization"), ("list", 0), ("both",))
        assert {reference.text for reference in self.template.secret_references} == {"secret.API_KEY", "secret.B"}
        resolved = resolve_secrets(rendered, self.template.secret_paths, self.values.__getitem__)
        assert resolved == {
            "headers": {"authorization": "Bearer k-1", "x-user": "u"},
            "list": ["b-2", "plain"],
            "both": "k-1-u-b-2",
        }
        assert rendered["list"][0] == "{secret.B}", "the rendered value, which is recorded, was changed"

    def test_data_cannot_ask_for_a_secret_elsewhere(self) -> None:
        template = compile_template({"to": "{input.to}", "key": "{secret.B}"})
        rendered = template.render({"input": {"to": "{secret.API_KEY}"}})
        resolved = resolve_secrets(rendered, template.secret_paths, self.values.__getitem__)
        assert resolved == {"to": "{secret.API_KEY}", "key": "b-2"}

    @pytest.mark.parametrize("user", ["{secret.API_KEY}", "{secret.", "x{secret.B}y"])
    def test_data_cannot_ask_for_a_secret_beside_a_real_one(self, user: str) -> None:
        with pytest.raises(SecretMisplaced):
            self.template.render({"input": {"user": user}})

    def test_data_cannot_build_a_secret_from_pieces(self) -> None:
        template = compile_template("{secret.B}{input.a}{input.b}")
        with pytest.raises(SecretMisplaced):
            template.render({"input": {"a": "{sec", "b": "ret.API_KEY}"}})

    def test_a_secret_value_is_not_searched_again(self) -> None:
        template = compile_template("{secret.A}")
        assert resolve_secrets(template.render({}), template.secret_paths, {"A": "{secret.A}"}.__getitem__) == (
            "{secret.A}"
        )

    def test_an_unknown_secret_is_the_lookups_error(self) -> None:
        with pytest.raises(KeyError):
            resolve_secrets("{secret.Z}", [()], self.values.__getitem__)

    def test_an_escaped_secret_cannot_stand_beside_a_real_one(self) -> None:
        with pytest.raises(TemplateInvalid):
            compile_template("{{secret.A}} {secret.A}")


class TestBounds:
    def test_depth(self) -> None:
        value: Any = "{input.n}"
        for _ in range(limits.MAX_TEMPLATE_DEPTH):
            value = [value]
        assert render(value)
        with pytest.raises(TemplateInvalid) as caught:
            compile_template([value])
        assert caught.value.faults[0].code == "nesting_too_deep"

    def test_depth_of_a_hostile_value(self) -> None:
        value: Any = []
        for _ in range(100_000):
            value = [value]
        with pytest.raises(TemplateInvalid):
            compile_template(value)

    def test_placeholders(self) -> None:
        compile_template(["{input.n}"] * limits.MAX_TEMPLATE_PLACEHOLDERS)
        with pytest.raises(TemplateInvalid):
            compile_template(["{input.n}"] * (limits.MAX_TEMPLATE_PLACEHOLDERS + 1))

    def test_text_cannot_be_multiplied(self) -> None:
        context = {"input": {"big": "x" * (limits.MAX_RENDERED_CHARS // 2)}}
        assert len(render("{input.big}{input.big}", context)) == limits.MAX_RENDERED_CHARS
        with pytest.raises(TemplateTooLarge):
            render("{input.big}{input.big}!", context)

    def test_values_cannot_be_multiplied(self) -> None:
        context = {"input": {"big": ["x" * 1000] * 100}}
        with pytest.raises(TemplateTooLarge):
            render(["{input.big}"] * 100, context)

    @pytest.mark.parametrize("filters", ["json | json | json | json | json | json | json | json"])
    def test_filters_cannot_multiply(self, filters: str) -> None:
        with pytest.raises(TemplateTooLarge):
            render(f"{{input.quotes | {filters}}}", {"input": {"quotes": '"' * 200_000}})

    def test_join_cannot_multiply(self) -> None:
        separator = "s" * 400
        with pytest.raises(TemplateTooLarge):
            render(f"{{input.list | join('{separator}')}}", {"input": {"list": ["a"] * 5000}})


texts = st.text(alphabet=st.sampled_from("{}[]|.'\" \\ab1_-é😀")) | st.text()
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda children: st.lists(children, max_size=4) | st.dictionaries(texts, children, max_size=4),
    max_leaves=12,
)
plain = st.text(alphabet=st.characters(blacklist_characters="{}", blacklist_categories=["Cs"]))
json_without_braces_in_texts = st.recursive(
    st.none() | st.booleans() | st.integers() | plain,
    lambda children: st.lists(children, max_size=4) | st.dictionaries(plain, children, max_size=4),
    max_leaves=12,
)


def escaped(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("{", "{{").replace("}", "}}")
    if isinstance(value, list):
        return [escaped(item) for item in value]
    return {key: escaped(item) for key, item in value.items()} if isinstance(value, dict) else value


@settings(deadline=None)
@given(json_values)
def test_an_escaped_value_renders_to_itself(value: Any) -> None:
    template = compile_template(escaped(value))
    assert template.is_static
    assert template.render({}) == value


@settings(deadline=None)
@given(json_values)
def test_a_value_passes_through_a_placeholder_untouched(value: Any) -> None:
    assert compile_template({"k": ["{input.x}"]}).render({"input": {"x": value}})["k"][0] is value


@settings(deadline=None)
@given(json_without_braces_in_texts, st.sampled_from([None, 2]))
def test_json_in_a_string_is_text(value: Any, indent: int | None) -> None:
    text = json.dumps(value, indent=indent)
    assert compile_template(text).render({}) == text


@settings(deadline=None)
@given(texts)
def test_any_text_compiles_or_is_a_fault_inside_it(text: str) -> None:
    template, faults = examine_template(text)
    assert all(found.position is not None and 0 <= found.position <= len(text) for found in faults)
    assert all(text[reference.position] == "{" for reference in template.references)
