"""Charts as parts of a page: SVG whose colours the page's style can change, or a picture.

A browser needs no script to show either. Colours of ink and grid are those that the style knows,
and follows with in the dark; the others are seen well on both grounds.
"""

from __future__ import annotations

import base64
import html
import re
from typing import Any

import altair as alt
import vl_convert

from tidegate.train.pictures import COLOURS

__all__ = ["BLUE", "INK", "ORANGE", "SOFT", "colours", "pictures", "svg"]

INK, SOFT, GRID = "#222222", "#666666", "#e6e6e6"
BLUE, ORANGE = COLOURS[0], COLOURS[1]
_DARK = {INK: "#e3ebf2", SOFT: "#9aabba", GRID: "#2a3947"}


def colours(names: list[str]) -> alt.Scale:
    """Return a scale that gives each name a colour."""
    visible = [colour for colour in COLOURS if colour != "#000000"]
    return alt.Scale(domain=names, range=[visible[i % len(visible)] for i in range(len(names))])


def svg(chart: alt.TopLevelMixin, name: str) -> str:
    """Return a chart as SVG that can stand in a page.

    Parameters
    ----------
    chart : chart
        Without a look of its own.
    name : str
        Begins its ids: no other figure of the page may have it.
    """
    drawn = str(vl_convert.vegalite_to_svg(_spec(chart), config=_look()))
    ids = {found: f"{name}-{i}" for i, found in enumerate(re.findall(r' id="([^"]+)"', drawn))}
    for old, new in ids.items():
        drawn = drawn.replace(f' id="{old}"', f' id="{new}"').replace(
            f"url(#{old})", f"url(#{new})"
        )
    return re.sub(r' xmlns(:xlink)?="[^"]*"', "", drawn)  # HTML knows what an svg is


def pictures(chart: alt.TopLevelMixin, words: str) -> str:
    """Return a chart as pictures in the page, one for light and one for dark ground.

    Parameters
    ----------
    chart : chart
        Without a look of its own.
    words : str
        What it shows, for those who cannot see it.
    """
    light, dark = (
        base64.b64encode(vl_convert.vegalite_to_png(_spec(chart), scale=1.5, config=look)).decode()
        for look in (_look(), _look(dark=True))
    )
    return (
        '<picture><source media="(prefers-color-scheme: dark)" '
        f'srcset="data:image/png;base64,{dark}">'
        f'<img alt="{html.escape(words)}" src="data:image/png;base64,{light}"></picture>'
    )


def _spec(chart: alt.TopLevelMixin) -> dict[str, Any]:
    spec: dict[str, Any] = chart.to_dict()
    # Altair's own, and what a chart for a file was given, would come before ours.
    spec.pop("config", None)
    return spec


def _look(*, dark: bool = False) -> dict[str, Any]:
    ink, soft, grid = (_DARK[c] if dark else c for c in (INK, SOFT, GRID))
    return {
        "background": "transparent",
        "padding": 4,
        "font": "sans-serif",
        "view": {"stroke": None},
        "axis": {
            "gridColor": grid,
            "domainColor": soft,
            "tickColor": soft,
            "labelColor": ink,
            "titleColor": soft,
            "labelFontSize": 11,
            "titleFontSize": 11.5,
            "titleFontWeight": "normal",
            "titlePadding": 8,
        },
        "title": {"color": ink, "fontSize": 13, "anchor": "start", "offset": 10},
        "legend": {
            "labelColor": ink,
            "titleColor": soft,
            "labelFontSize": 11.5,
            "titleFontSize": 11.5,
            "titleFontWeight": "normal",
            "labelLimit": 220,
        },
        "text": {"color": ink, "fontSize": 11},
        "line": {"color": BLUE, "strokeWidth": 2},
        "bar": {"color": BLUE},
        "rect": {"color": BLUE},
        "point": {"color": BLUE},
        "circle": {"color": BLUE, "opacity": 1},
        "rule": {"color": BLUE},
    }
