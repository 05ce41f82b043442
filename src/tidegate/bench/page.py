"""A page that shows results without a network, and pictures of its charts."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import altair as alt
import vl_convert

from tidegate import files

__all__ = ["configured", "write"]

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; color: #222; background: #fff; max-width: 1100px;
  margin: 2rem auto; padding: 0 1rem; }}
h1 {{ font-size: 1.6rem; }}  figure {{ margin: 2rem 0; overflow-x: auto; }}
table {{ border-collapse: collapse; font-size: .82rem; }}
td {{ padding: .2rem .8rem .2rem 0; border-bottom: 1px solid #e6e6e6; text-align: right;
  vertical-align: bottom; font-variant-numeric: tabular-nums; }}
td:nth-child(-n+{texts}) {{ text-align: left; }}
</style>
<script>{javascript}</script></head><body>
<h1>{heading}</h1>
{about}
{figures}
<table>
{table}
</table>
{facts}
</body></html>
"""


def write(
    folder: Path,
    name: str,
    charts: Mapping[str, alt.TopLevelMixin],
    *,
    title: str,
    heading: str,
    about: Iterable[str] = (),
    table: Iterable[Sequence[str]],
    texts: int = 1,
    facts: Iterable[str],
) -> list[Path]:
    """Write ``NAME.html``, which needs no network, and ``NAME-CHART.png`` of each chart.

    Parameters
    ----------
    folder : Path
        Is made if it is missing.
    name : str
        What the files' names begin with.
    charts : mapping of str to chart
        By name.
    title, heading : str
        Of the page.
    about, facts : iterable of str
        Paragraphs before the charts, and after the table.
    table : iterable of sequence of str
        Rows.
    texts : int
        How many columns of the table, from the left, are no numbers.

    Returns
    -------
    list of Path
        What was written.
    """
    filled = _PAGE.format(
        title=html.escape(title),
        heading=html.escape(heading),
        texts=texts,
        javascript=_javascript(),
        about=_paragraphs(about),
        figures="\n".join(_figure(of, chart) for of, chart in charts.items()),
        table="\n".join(_table_row(cells) for cells in table),
        facts=_paragraphs(facts),
    )
    contents = {f"{name}.html": filled.encode()}
    for of, chart in charts.items():
        contents[f"{name}-{of}.png"] = vl_convert.vegalite_to_png(chart.to_json(), scale=1.5)
    for path, content in contents.items():
        files.write_file(folder / path, content)
    return [folder / path for path in contents]


def configured(chart: alt.TopLevelMixin) -> alt.TopLevelMixin:
    """Give a chart the look that all of ours have."""
    finished: alt.TopLevelMixin = (
        chart.configure(background="white", padding=16, font="sans-serif")
        .configure_view(stroke=None)
        .configure_axis(
            gridColor="#E6E6E6", domainColor="#888888", tickColor="#888888", labelFontSize=11
        )
        .configure_title(fontSize=13, anchor="start", offset=10)
    )
    return finished


def _paragraphs(lines: Iterable[str]) -> str:
    return "\n".join(f"<p>{html.escape(line)}</p>" for line in lines)


def _javascript() -> str:
    """Return Vega with what it needs, fit to stand in a page."""
    bundle = str(vl_convert.javascript_bundle())  # type: ignore[call-arg]  # the stub is too strict
    return bundle.replace("</script", "<\\/script")


def _table_row(cells: Sequence[str]) -> str:
    """Return a row of an HTML table."""
    return f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in cells)}</tr>"


def _figure(name: str, chart: alt.TopLevelMixin) -> str:
    """Return a figure with the script that draws it."""
    spec = chart.to_json(indent=None).replace("</", "<\\/")
    return (
        f'<figure id="{name}"></figure>'
        f'<script>vegaEmbed("#{name}", {spec}, {{actions: false}})</script>'
    )
