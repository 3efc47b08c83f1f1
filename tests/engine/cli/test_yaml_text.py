"""Text that repeats or nests itself without end is refused before anything reads it."""

import re

import pytest
import yaml

from lightning_template.engine.cli import yaml_text
from lightning_template.engine.cli.yaml_text import MAX_DEPTH, MAX_VALUES, check_yaml

LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{number}: &a{number} [{', '.join([f'*a{number - 1}'] * 10)}]\n" for number in range(1, 10)
)
REFUSED = {
    "a list in itself": ("a: &a [*a]", "here, line 1: &a contains itself"),
    "a mapping in itself": ("a: &a\n  b:\n    c: *a\n", "here, line 3: &a contains itself"),
    "a merge with itself": ("a: &a\n  <<: *a\n", "here, line 2: &a contains itself"),
    "a billion laughs": (LAUGHS, "here, line 5: more than 100000 values"),
    "nested lists": ("\n" + "[" * 3000 + "]" * 3000, "here, line 2: more than 100 lists or mappings"),
    "nested mappings": ("{a: " * 3000 + "1" + "}" * 3000, "more than 100 lists or mappings"),
    "nested JSON": ('{"a": ' * 3000 + "1" + "}" * 3000, "more than 100 lists or mappings"),
    "nested blocks": ("- " * 3000 + "x", "more than 100 lists or mappings"),
    "nested lists without an end": ("[" * 100_000, "more than 100 lists or mappings"),
    "a long list": (f"[{'1,' * (MAX_VALUES + 1)}]", "more than 100000 values"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_has_no_end_is_refused(case: str) -> None:
    text, message = REFUSED[case]
    with pytest.raises(ValueError, match=re.escape(message)):
        check_yaml(text, "here")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a: &a [1, 2]\nb: *a\nc: [*a, *a]\n",
        "base: &base {x: 1}\nother: {<<: *base, y: 2}\n",
        "[" * MAX_DEPTH + "]" * MAX_DEPTH,
        "model: [",  # for others to complain about
        "*.png",
        "photos/[a-z]*.jpg",
    ],
)
def test_what_has_an_end_is_left_to_its_reader(text: str) -> None:
    check_yaml(text, "here")


def test_values_are_counted_with_what_aliases_repeat() -> None:
    half = ", ".join(["1"] * (MAX_VALUES // 2 - 10))
    check_yaml(f"a: &a [{half}]\nb: 1\n", "here")
    with pytest.raises(ValueError, match="line 2: more than"):
        check_yaml(f"a: &a [{half}]\nb: [*a, {'1, ' * 20}]\n", "here")


def test_an_alias_of_one_value_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_text, "MAX_VALUES", 9)
    check_yaml("a: &a 1\nb: [*a, *a, *a, *a]\n", "here")  # with mapping, list and keys nine
    with pytest.raises(ValueError, match="line 2: more than 9 values"):
        check_yaml("a: &a 1\nb: [*a, *a, *a, *a, *a]\n", "here")


def test_the_fast_parser_is_used_where_there_is_one() -> None:
    assert yaml_text._Loader is getattr(yaml, "CSafeLoader", yaml.SafeLoader)
