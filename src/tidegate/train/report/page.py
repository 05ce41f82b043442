"""A page to keep: text, tables and figures in one HTML file that loads nothing and runs nothing.

What a page is about is somebody else's: sections are made of these blocks, and `render` turns them
into HTML. Whatever is text here is escaped there. A Content-Security-Policy in the page forbids
scripts and anything from elsewhere, so that also what slipped through could do nothing.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import altair as alt
from markdown_it import MarkdownIt

from tidegate.train.report import drawing
from tidegate.train.report.style import STYLE

__all__ = ["Block", "Figure", "Markdown", "Page", "Section", "Table", "Text", "Tiles", "render"]


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Markdown:
    """Headings, lists, tables and paragraphs; links and images stay the text that they are."""

    text: str


@dataclass(frozen=True)
class Tiles:
    """A few numbers to see first.

    Parameters
    ----------
    items : sequence of (str, str, str)
        What it is, the number, and a few words below it.
    """

    items: Sequence[tuple[str, str, str]]


@dataclass(frozen=True)
class Figure:
    """A chart, and how to read it.

    Parameters
    ----------
    chart : chart
        Without a look of its own.
    caption : str
        How to read it, and what was measured on how many events.
    raster : bool
        As a picture, where an SVG would be of tens of thousands of marks.
    """

    chart: alt.TopLevelMixin
    caption: str
    raster: bool = False


@dataclass(frozen=True)
class Table:
    """A table.

    Parameters
    ----------
    head : sequence of str
        Of the columns.
    rows : sequence of sequence of str
        Cells, as many as in `head`.
    caption : str
        How to read it.
    texts : int
        How many columns from the left are no numbers.
    shades : sequence of sequence of float
        0 to 1 a cell behind those: how dark it is; without, none is.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    texts: int = 1
    shades: Sequence[Sequence[float]] = ()


Block: TypeAlias = Text | Markdown | Tiles | Figure | Table


@dataclass(frozen=True)
class Section:
    """A part of a page with a heading.

    Parameters
    ----------
    title : str
        The heading.
    blocks : sequence of Block
        What stands below it.
    finding : str
        What it says, in a sentence: the page's top lists these.
    """

    title: str
    blocks: Sequence[Block]
    finding: str = ""


@dataclass(frozen=True)
class Page:
    """A page.

    Parameters
    ----------
    title : str
        Of the page.
    lead : str
        A paragraph on what it is about.
    sections : sequence of Section
        In order.
    facts : sequence of str
        Small print at the end.
    """

    title: str
    lead: str
    sections: Sequence[Section]
    facts: Sequence[str] = field(default_factory=tuple)


_NARROW = 320  # pixels that a caption needs to be read
_BROAD = 480  # from here on two figures do not stand beside each other on paper

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style></head><body>
<div class="frame"><nav aria-label="Contents"><p class="brand">{title}</p><ol>
{contents}
</ol></nav>
<main><h1>{title}</h1>
<p class="lead">{lead}</p>
{findings}
{sections}
<footer>
{facts}
</footer></main></div></body></html>
"""


def render(page: Page) -> str:
    """Return a page as HTML.

    Examples
    --------
    >>> shown = render(Page("<b>", "A & B.", [Section("All", [Text("1 < 2")], "It is so.")]))
    >>> "<h1>&lt;b&gt;</h1>" in shown, '<h2 id="part-1">All</h2>' in shown, "1 &lt; 2" in shown
    (True, True, True)
    """
    parts = list(enumerate(page.sections, 1))
    contents = (f'<li><a href="#part-{i}">{_text(part.title)}</a></li>' for i, part in parts)
    findings = [
        f'<li>{_text(part.finding)} <a href="#part-{i}">{_text(part.title)}</a></li>'
        for i, part in parts
        if part.finding
    ]
    return _PAGE.format(
        title=_text(page.title),
        style=STYLE,
        lead=_text(page.lead),
        contents="\n".join(contents),
        findings='<ul class="findings">\n' + "\n".join(findings) + "\n</ul>" if findings else "",
        sections="\n".join(_section(i, part) for i, part in parts),
        facts="\n".join(f"<p>{_text(fact)}</p>" for fact in page.facts),
    )


def _section(number: int, section: Section) -> str:
    inside = "\n".join(
        _block(block, f"f{number}-{place}") for place, block in enumerate(section.blocks)
    )
    return (
        f'<section><h2 id="part-{number}">{_text(section.title)}</h2>\n'
        f'<div class="blocks">\n{inside}\n</div></section>'
    )


def _block(block: Block, name: str) -> str:
    match block:
        case Text(text):
            return f"<p>{_text(text)}</p>"
        case Markdown(text):
            return f'<div class="card">{_markdown(text)}</div>'
        case Tiles(items):
            return f'<dl class="tiles">{"".join(map(_tile, items))}</dl>'
        case Table():
            return _table(block)
        case Figure(chart, caption, raster):
            drawn = drawing.picture(chart, caption) if raster else drawing.svg(chart, name)
            kind = ' class="broad"' if drawn.width > _BROAD else ""
            return (
                f'<figure{kind} style="width: {max(drawn.width, _NARROW)}px">'
                f'<div class="chart">{drawn.html}</div>'
                f"<figcaption>{_text(caption)}</figcaption></figure>"
            )


def _tile(item: tuple[str, str, str]) -> str:
    what, number, words = map(_text, item)
    return f"<div><dt>{what}</dt><dd><b>{number}</b><small>{words}</small></dd></div>"


def _table(table: Table) -> str:
    head = "".join(f"<th{_kind(i, table)}>{_text(cell)}</th>" for i, cell in enumerate(table.head))
    body = "\n".join(_row(place, row, table) for place, row in enumerate(table.rows))
    caption = f"<figcaption>{_text(table.caption)}</figcaption>" if table.caption else ""
    return (
        f'<figure class="table"><div class="wide"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>\n{body}\n</tbody></table></div>{caption}</figure>"
    )


def _row(place: int, row: Sequence[str], table: Table) -> str:
    cells = []
    for i, cell in enumerate(row):
        shade = ""
        if table.shades and i >= table.texts:
            share = table.shades[place][i - table.texts]
            shade = f' style="--share: {100 * share:.0f}%"'
        cells.append(f"<td{_kind(i, table)}{shade}>{_text(cell)}</td>")
    return f"<tr>{''.join(cells)}</tr>"


def _kind(column: int, table: Table) -> str:
    if column < table.texts:
        return ""
    return ' class="number shaded"' if table.shades else ' class="number"'


def _markdown(text: str) -> str:
    """Render what a model card is made of; everything else is text, links and HTML too.

    >>> print(_markdown("# a <b>"), end="")
    <h3>a &lt;b&gt;</h3>
    """
    reader = MarkdownIt("zero").enable(["heading", "list", "table"])
    tokens = reader.parse(text)
    for token in tokens:  # the page has its own h1, and the section its h2
        if token.type.startswith("heading"):
            token.tag = f"h{min(6, int(token.tag[1]) + 2)}"
    return str(reader.renderer.render(tokens, reader.options, {}))


def _text(text: str) -> str:
    return html.escape(text)
