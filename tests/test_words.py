"""The English of the source: short sentences in the field's terms."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import ROOT

PACKAGE = ROOT / "src" / "lightning_template"
MAX_WORDS = 25
AVOIDED = re.compile(r"\b(anew|of (its|his|their) own|in one go)\b")
QUESTION = re.compile(r"(What|Whether|Which|Who|Where|How)\b")


def texts(source: str) -> Iterator[str]:
    """Yield docstrings and comments."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.value.value
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.string.removeprefix("#")


def sentences(text: str) -> Iterator[str]:
    """Yield the sentences of a text without examples and tables, each entry of a list by itself."""
    text = re.sub(r"^\s*(>>>|\.\.\.|\|).*$", "", text, flags=re.MULTILINE)
    for part in re.split(r"\n\s*\n|\n\s*(?=[\w.]+: |[-*] )", text):
        yield from re.split(r"(?<=[.!?:;])\s+", " ".join(part.split()))


def faults(source: str) -> list[str]:
    first = ast.get_docstring(ast.parse(source)) or ""
    found = [sentence for text in texts(source) for sentence in sentences(text)]
    return [s for s in found if len(s.split()) > MAX_WORDS or AVOIDED.search(s)] + [first] * bool(QUESTION.match(first))


@pytest.mark.parametrize("file", [str(path.relative_to(PACKAGE)) for path in sorted(PACKAGE.rglob("*.py"))])
def test_sentences_are_short_and_plain(file: str) -> None:
    assert faults((PACKAGE / file).read_text()) == []


def test_what_is_not_plain_is_seen(tmp_path: Path) -> None:
    long = " ".join(["word"] * 26)
    assert faults(f'"""Where it is."""\n# drawn anew\nx = 1  # {long}\n') == ["drawn anew", long, "Where it is."]
    assert faults('"""A room.\n\nArgs:\n    x: ' + "word " * 20 + "\n    y: " + "word " * 20 + '.\n"""\n') == []
