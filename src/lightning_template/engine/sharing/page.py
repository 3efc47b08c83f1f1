"""Parts of a page in HTML that stands alone: no script, and nothing from a network. All texts are escaped."""

import base64
import html
import io
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lightning_template.engine.process.errors import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STYLE = """\
body { font: 15px/1.5 system-ui, sans-serif; color: #1b1f24; background: #fff; margin: 2rem auto; max-width: 1360px; \
padding: 0 1.5rem }
h1 { font-size: 1.6rem } h2 { margin-top: 2.2rem; border-bottom: 1px solid #d0d7de; font-size: 1.25rem }
h3 { font-size: 1rem; margin: 1rem 0 .3rem } p.note { color: #57606a }
.wide { overflow-x: auto } table { border-collapse: collapse; margin: .5rem 0 }
th, td { border: 1px solid #d0d7de; padding: .2rem .6rem; text-align: left; vertical-align: top }
td { overflow-wrap: anywhere }
th { background: #f6f8fa } td.number { text-align: right; font-variant-numeric: tabular-nums } tr.differs td { \
background: #fff8c5 }
.row { display: flex; flex-wrap: wrap; gap: 1rem; align-items: flex-start } figure { margin: 0; \
max-width: calc(50% - .5rem) } img { max-width: 100% }
figcaption { color: #57606a; font-size: .9rem } pre { background: #f6f8fa; padding: .8rem; overflow-x: auto }
"""
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def text(value: Any) -> str:
    """Return a value as text of a page, in which nothing is taken for a tag or steers the reader's program."""
    return html.escape(printable(str(value), keep="\n"))


def page(title: str, parts: Sequence[str]) -> str:
    """Return a whole page."""
    head = f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{POLICY}">'
    head += f'<meta name="viewport" content="width=device-width"><title>{text(title)}</title><style>{STYLE}</style>'
    body = "\n".join([f"<h1>{text(title)}</h1>", *parts])
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}\n</body></html>\n'


def section(title: str, *parts: str) -> str:
    """Return a section with its parts."""
    return "\n".join([f"<section><h2>{text(title)}</h2>", *parts, "</section>"])


def note(sentence: str) -> str:
    """Return a remark."""
    return f'<p class="note">{text(sentence)}</p>'


def table(head: Sequence[Any], rows: Sequence[Sequence[Any]], mark_differences: bool = False) -> str:
    """Return a table.

    Args:
        head: Title of each column.
        rows: Cells of each row; numbers are aligned.
        mark_differences: Whether to mark rows whose cells after the first are not equal.
    """
    lines = [f"<tr>{''.join(f'<th>{text(cell)}</th>' for cell in head)}</tr>"]
    for row in rows:
        differs = mark_differences and len({str(cell) for cell in row[1:]}) > 1
        lines.append(f"<tr{' class=differs' * differs}>{''.join(map(_cell, row))}</tr>")
    return f'<div class="wide"><table>{"".join(lines)}</table></div>'


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f'<td class="number">{value:.6g}</td>'
    if isinstance(value, int) and not isinstance(value, bool):
        return f'<td class="number">{value}</td>'
    return f"<td>{'' if value is None else text(value)}</td>"


def folded(title: str, content: str) -> str:
    """Return a text that is shown when its title is clicked."""
    return f"<details><summary>{text(title)}</summary>{code(content)}</details>"


def code(content: str) -> str:
    """Return a text as it is."""
    return f"<pre>{text(content)}</pre>"


def side_by_side(parts: Mapping[str, str]) -> str:
    """Return images or tables beside one another, each below its name."""
    shown = [f"<figure><figcaption>{text(name)}</figcaption>{part}</figure>" for name, part in parts.items()]
    return f'<div class="row">{"".join(shown)}</div>'


def drawn(figure: "Figure", description: str, kind: str = "png") -> str:
    """Return a figure of matplotlib as an image; its letters are shapes, so no text in it is taken for a tag."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of letters that the font lacks
        figure.savefig(file, format=kind)
    return encoded(file.getvalue(), description, "image/svg+xml" if kind == "svg" else f"image/{kind}")


def encoded(content: bytes, description: str, kind: str = "image/png") -> str:
    """Return an image that lies within the page."""
    return f'<img alt="{text(description)}" src="data:{kind};base64,{base64.b64encode(content).decode()}">'
