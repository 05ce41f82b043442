"""Charts as parts of a page: SVG whose colours the page's style can change, or a picture.

A browser needs no script to show either. Colours of ink and grid are those that the style knows,
and follows with in the dark; the others are seen well on both grounds.
"""

from __future__ import annotations

import base64
import html
import re
from dataclasses import dataclass
from typing import Any

import altair as alt
import vl_convert

from tidegate.train.pictures import COLOURS

__all__ = ["BLUE", "INK", "ORANGE", "SOFT", "Drawn", "colours", "picture", "svg"]

INK, SOFT, GRID = "#222222", "#666666", "#e6e6e6"
BLUE, ORANGE = COLOURS[0], COLOURS[1]
BETWEEN = "#7d8894"
"""Is read on white and on black."""

_SCALE = 1.25


def colours(names: list[str]) -> alt.Scale:
    """Return a scale that gives each name a colour."""
    visible = [colour for colour in COLOURS if colour != "#000000"]
    return alt.Scale(domain=names, range=[visible[i % len(visible)] for i in range(len(names))])


@dataclass(frozen=True)
class Drawn:
    """A chart as HTML.

    Parameters
    ----------
    html : str
        An ``svg`` or ``img`` element.
    width : int
        Pixels that it is wide at its own size.
    """

    html: str
    width: int


def svg(chart: alt.TopLevelMixin, name: str) -> Drawn:
    """Return a chart as SVG that can stand in a page.

    Parameters
    ----------
    chart : chart
        Without a look of its own.
    name : str
        Begins its ids: no other figure of the page may have it.
    """
    drawn = str(vl_convert.vegalite_to_svg(_spec(chart), config=_look(INK, SOFT, GRID)))
    for i, old in enumerate(re.findall(r' id="([^"]+)"', drawn)):
        drawn = drawn.replace(f' id="{old}"', f' id="{name}-{i}"')
        drawn = drawn.replace(f"url(#{old})", f"url(#{name}-{i})")
    drawn = re.sub(r' xmlns(:xlink)?="[^"]*"', "", drawn)  # HTML knows what an svg is
    size = re.match(r'<svg [^>]*?width="([\d.]+)"', drawn)
    assert size is not None
    return Drawn(drawn, round(float(size[1])))


def picture(chart: alt.TopLevelMixin, words: str) -> Drawn:
    """Return a chart as a picture in the page, for any ground.

    Parameters
    ----------
    chart : chart
        Without a look of its own.
    words : str
        What it shows, for those who cannot see it.
    """
    look = _look(BETWEEN, BETWEEN, BETWEEN)
    png = vl_convert.vegalite_to_png(_spec(chart), scale=_SCALE, config=look)
    width = round(int.from_bytes(png[16:20], "big") / _SCALE)  # as its header says
    source = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    return Drawn(f'<img width="{width}" alt="{html.escape(words)}" src="{source}">', width)


def _spec(chart: alt.TopLevelMixin) -> dict[str, Any]:
    spec: dict[str, Any] = chart.to_dict()
    # Altair's own, and what a chart for a file was given, would come before ours.
    spec.pop("config", None)
    return spec


def _look(ink: str, soft: str, grid: str) -> dict[str, Any]:
    return {
        "background": "transparent",
        # Text that is wider in a browser than it was measured stays inside.
        "padding": {"left": 14, "right": 14, "top": 4, "bottom": 4},
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
            "labelFlush": False,
            "labelOverlap": True,
            "tickCount": 6,
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
