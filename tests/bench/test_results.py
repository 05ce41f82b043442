"""What a run leaves, and what is made of it."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest

from tidegate.bench import markdown, plots, results
from tidegate.bench.results import Machine, Results, Row, Settings, Timing
from tidegate.errors import InputError

ROOT = Path(__file__).parents[2]


def row(entry: str, batch: int, hidden: int, **more) -> Row:
    return Row(
        entry,
        "gru",
        16,
        hidden,
        1,
        batch,
        "fp32",
        "avx2",
        2.5 * batch,
        20.0,
        10.0,
        8.0,
        4.0,
        0.25,
        **more,
    )


@pytest.fixture
def found() -> Results:
    machine = Machine(
        processor="A <fast> processor",
        architecture="x86_64",
        cores=2,
        system="Linux 6",
        isas=["scalar", "avx2"],
        flags=["avx2", "fma"],
        peak_gops={"scalar": {"fp32": 50.0}, "avx2": {"fp32": 100.0, "int8": 200.0}},
        read_gbps={16384: 200.0, 1 << 20: 100.0},
        versions={"tidegate": "0.1.0"},
        date="2026-01-02",
    )
    rows = [
        row(entry, batch, hidden)
        for batch in (1, 256)
        for hidden in (64, 128)
        for entry in ("kernel", "engine")
    ]
    crowd = row("engine", 256, 64, sessions=1_000_000, times_kernel=1.25)
    timings = [Timing(rows[0].case, "kernel fp32 avx2", 2.5, 2.4, 2.7)]
    return Results(machine, Settings(0.05, 9), [*rows, crowd], timings)


def test_results_read_back(found, tmp_path) -> None:
    results.save(tmp_path / "new" / "results.json", found)
    assert results.load(tmp_path / "new" / "results.json") == found


@pytest.mark.parametrize("text", [None, "", "{}", "[1]", '{"rows": []}'])
def test_another_file_is_refused(text, tmp_path) -> None:
    path = tmp_path / "results.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError) as refused:
        results.load(path)
    assert refused.value.code == "bad_results"


def test_markdown_has_a_line_for_each_case(found) -> None:
    text = markdown.render(found)
    assert text.startswith("### A <fast> processor\n")
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len(lines) == 2 + 4
    assert len({line.count("|") for line in lines}) == 1
    assert "| gru 16 -> 128 | 256 | fp32, avx2 | 640 µs | 640 µs | 20.0 µs |" in text
    assert "1,000,000 live sessions" in text
    assert "1.25 times" in text


def test_a_picture_and_a_page_that_needs_no_network(found, tmp_path) -> None:
    page, picture = plots.write(tmp_path / "out", found)
    assert (page.name, picture.name) == ("engine.html", "engine-fp32-avx2.png")
    width, height = struct.unpack(">II", picture.read_bytes()[16:24])
    assert width > 800
    assert height > 500
    text = page.read_text()
    head, _, rest = text.partition("<script>")
    body = rest.rpartition("</head>")[2]
    assert not re.search(r"<(script|link|img)[^>]*\s(src|href)=", head + body)
    assert len(rest) > len(body) + 500_000  # Vega is in the page
    assert body.count("vegaEmbed(") == 1
    assert body.count("<tr>") == 1 + 4


def test_a_chart_has_every_series_at_every_point(found) -> None:
    (chart,) = plots.charts(found).values()
    drawn = chart.to_dict()
    panels = [panel for line in drawn["vconcat"] for panel in line["hconcat"]]
    assert len(panels) == 2 + 2  # hidden sizes, batches
    for panel in panels:
        values = drawn["datasets"][panel["data"]["name"]]
        series = {value["series"] for value in values}
        assert series == {"torch", "ONNX Runtime", "tidegate, engine", "tidegate, kernel", "roof"}
        assert len(values) == 2 * len(series)
        assert all(value["us"] > 0 for value in values)


def test_the_docs_hold_the_results_that_are_kept() -> None:
    page = (ROOT / "docs" / "speed.md").read_text()
    for path in (ROOT / "benchmarks" / "results").glob("engine-*.json"):
        assert markdown.render(results.load(path)).strip() in page, path.name
