"""The parts of a page that shows results without a network."""

from __future__ import annotations

import html
from collections.abc import Sequence

import altair as alt
import vl_convert

__all__ = ["configured", "figure", "javascript", "table_row"]


def javascript() -> str:
    """Return Vega with what it needs, fit to stand in a page."""
    bundle = str(vl_convert.javascript_bundle())  # type: ignore[call-arg]  # the stub is too strict
    return bundle.replace("</script", "<\\/script")


def table_row(cells: Sequence[str]) -> str:
    """Return a row of an HTML table."""
    return f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in cells)}</tr>"


def figure(name: str, chart: alt.TopLevelMixin) -> str:
    """Return a figure with the script that draws it."""
    spec = chart.to_json(indent=None).replace("</", "<\\/")
    return (
        f'<figure id="{name}"></figure>'
        f'<script>vegaEmbed("#{name}", {spec}, {{actions: false}})</script>'
    )


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
