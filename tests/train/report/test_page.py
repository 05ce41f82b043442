"""The page: what is text stays text, and nothing is loaded."""

from __future__ import annotations

import altair as alt
import reportable

from tidegate.train.report.page import (
    Figure,
    Markdown,
    Page,
    Section,
    Table,
    Text,
    Tiles,
    render,
)

HOSTILE = "</svg></style><script>alert(1)</script><img src=http://evil.example/x onerror=alert(1)>"


def chart(name: str) -> alt.TopLevelMixin:
    values = [{"x": 1, "y": 2, "name": name}, {"x": 2, "y": 3, "name": f"{name}2"}]
    return (
        alt.Chart(alt.InlineData(values=values), title=name)
        .mark_line(clip=True)
        .encode(x=alt.X("x:Q", title=name), y="y:Q", color=alt.Color("name:N", title=name))
    )


def test_hostile_words_in_every_block() -> None:
    linked = "[a](http://evil.example) ![b](http://evil.example/b.png) <http://evil.example>"
    blocks = [
        Text(HOSTILE),
        Markdown(
            f"# {HOSTILE}\n\n| a | {linked} |\n| --- | --- |\n| {HOSTILE} | b |\n\n- {linked}"
        ),
        Tiles([(HOSTILE, HOSTILE, HOSTILE)]),
        Table([HOSTILE, HOSTILE], [[HOSTILE, HOSTILE]], HOSTILE, shades=[[0.5]]),
        Figure(chart(HOSTILE), HOSTILE),
        Figure(chart(HOSTILE), HOSTILE, raster=True),
    ]
    page = render(Page(HOSTILE, HOSTILE, [Section(HOSTILE, blocks, HOSTILE)], [HOSTILE]))
    found = reportable.Loads(page)
    assert found.dangers == []
    assert {"svg", "img", "table", "h3", "li"} <= found.tags
    assert sum(HOSTILE in text for text in found.words) >= 12
    assert "default-src 'none'" in page


def test_figures_share_no_ids() -> None:
    blocks = [Figure(chart("a"), ""), Figure(chart("b"), "")]
    page = render(Page("p", "", [Section("one", blocks), Section("two", blocks)]))
    ids = reportable.Loads(page).ids
    assert len(ids) == len(set(ids))
    assert {"part-1", "part-2"} < set(ids)
    clips = [name for name in ids if name.startswith("f")]
    assert len(clips) >= 4
    assert all(f"url(#{name})" in page for name in clips)


def test_the_same_page_twice_is_the_same() -> None:
    page = Page("p", "", [Section("one", [Figure(chart("a"), "")])])
    assert render(page) == render(page)
