"""What a run of servers leaves, and what is made of it."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tidegate.bench.results import Machine, kind
from tidegate.bench.serving import goals, markdown, plots, results, scrape
from tidegate.bench.serving.results import (
    Memory,
    Missing,
    Row,
    ServeResults,
    ServeSettings,
    Stall,
    Start,
    Sync,
)
from tidegate.errors import InputError

ROOT = Path(__file__).parents[3]
DICT = "FastAPI + torch, dict"


def row(system: str = "tidegate", transport: Any = "http", mode: Any = "single", **more) -> Row:
    usual: dict[str, Any] = {
        "durable": True,
        "sessions": 10_000,
        "connections": 64,
        "events_a_request": 1,
        "rate": 0.0,
        "seconds": 10.0,
        "events_per_s": 25_000.0,
        "p50_ms": 2.0,
        "p99_ms": 5.0,
        "p999_ms": 8.0,
        "max_ms": 9.0,
        "slowest_second": 24_000,
        "server_cpu_s": 10.0,
        "generator_cpu_s": 3.0,
        "rss_mb": 100.0,
        "bytes_sent": 10**8,
        "bytes_received": 10**7,
        "errors": 0,
        "stolen_s": 0.25,
    }
    return Row(system=system, transport=transport, mode=mode, **{**usual, **more})


@pytest.fixture
def found() -> ServeResults:
    machine = Machine("A <fast> one", "x86_64", 2, "Linux 6", [], [], {}, {}, {}, "2026-01-02")
    bulk: dict[str, Any] = {"sessions": 1_000_000, "connections": 4, "events_a_request": 2000}
    cuts = {"tidegate_store_cuts_total": 3.0}
    rows = [
        row("C echo", durable=False, events_per_s=150_000.0),
        row(),
        row(rate=20_000.0, events_per_s=20_000.0),
        row(connections=8, events_per_s=9_000.0),
        row(connections=1, events_per_s=1_500.0, p50_ms=0.6),
        row(connections=1, rate=100.0, events_per_s=100.0, p50_ms=1.1),
        row(DICT, durable=False, events_per_s=3_000.0),
        row(transport="websocket", mode="stream", events_a_request=16, events_per_s=50_000.0),
        row(transport="ndjson", mode="bulk", events_per_s=160_000.0, metrics=cuts, **bulk),
        row(transport="arrow", mode="bulk", events_per_s=300_000.0, **bulk),
        row(
            "tidegate, memory:",
            "arrow",
            "bulk",
            durable=False,
            events_per_s=1_200_000.0,
            **bulk,
        ),
    ]
    starts = [
        Start("tidegate", 0, 250.0, 251.0, 80.0),
        Start("tidegate", 1_000_000, 1500.0, 1500.0, 300.0),
        Start(DICT, 0, 2000.0, 2000.0, 260.0),
    ]
    memory = [
        Memory("tidegate", 0, 80.0),
        Memory("tidegate", 1000, 81.0),
        Memory(DICT, 1000, 300.0),
    ]
    missing = [Missing("LitServe", "no network")]
    settings = ServeSettings(10.0, 60.0, 1_000_000)
    stalls = [Stall("tidegate", True, "http", 21_000.0, 2.0, 5.0)]
    sync = Sync(0.5, 1.0, 100.0, 0.75, 2.0)
    return ServeResults(machine, settings, rows, starts, memory, sync, missing, stalls)


def test_results_read_back(found, tmp_path) -> None:
    path = tmp_path / "new" / "results.json"
    results.save(path, found)
    assert results.load(path) == found
    assert kind(path) == "serve"


def test_a_row_has_the_members_that_are_promised(found, tmp_path) -> None:
    results.save(tmp_path / "results.json", found)
    content = json.loads((tmp_path / "results.json").read_text())
    promised = {"system", "transport", "mode", "durable", "sessions", "connections"}
    promised |= {"events_per_s", "p50_ms", "p99_ms", "p999_ms"}
    assert all(promised <= set(each) for each in content["rows"])
    assert content["bench"] == "serve"
    assert content["machine"]["processor"] == "A <fast> one"


@pytest.mark.parametrize("text", [None, "", "{}", "[1]", '{"rows": []}', '{"bench": "serve"}'])
def test_another_file_is_refused(text, tmp_path) -> None:
    path = tmp_path / "results.json"
    if text is not None:
        path.write_text(text)
    assert (kind(path) == "serve") == (text is not None and "serve" in text)
    with pytest.raises(InputError) as refused:
        results.load(path)
    assert refused.value.code == "bad_results"


def test_goals_that_are_met(found) -> None:
    checked = goals.check(found)
    assert [goal.case for goal in checked if not goal.met] == []
    assert len(checked) == 14
    assert any("8.3 ×" in goal.found for goal in checked)
    assert any(goal.wanted.startswith("≤ 0.75 ms") for goal in checked)


def test_goals_are_missed_by_slow_servers_and_by_wrong_answers(found) -> None:
    for change in ({"events_per_s": 10.0, "p50_ms": 50.0, "p99_ms": 50.0}, {"errors": 1}):
        rows = [
            msgspec.structs.replace(each, metrics={}, **change)
            if each.system.startswith("tidegate")
            else each
            for each in found.rows
        ]
        late = [
            msgspec.structs.replace(s, answer_ms=9e3, ready_ms=9e3, rss_mb=9e3)
            for s in found.starts
        ]
        checked = goals.check(msgspec.structs.replace(found, rows=rows, starts=late))
        missed = [goal for goal in checked if not goal.met]
        ratio = [goal for goal in checked if goal.wanted == "≥ 4 ×"]
        assert missed == [goal for goal in checked if goal not in ratio or "errors" not in change]


def test_no_goals_of_what_was_not_run(found) -> None:
    empty = msgspec.structs.replace(
        found, rows=[], starts=[], memory=[], stalls=[], sync=None, missing=[]
    )
    assert goals.check(empty) == []
    assert markdown.render(empty).count("|") == 2 * 14
    assert plots.charts(empty) == {}


def test_markdown_has_a_line_for_each_load(found) -> None:
    text = markdown.render(found)
    assert text.startswith("### A <fast> one, 2 cores\n")
    assert text.endswith("- Not run: LitServe: no network\n")
    loads = [line for line in text.splitlines() if line.startswith(("| tidegate", "| C", "| Fast"))]
    tables = (found.rows, found.starts, found.memory, found.stalls)
    assert len(loads) == sum(map(len, tables))
    assert "| tidegate | yes | http | 21,000 | 2 | 5 |\n" in text
    # 10 CPU seconds for 250,000 events are 40 a million, of a processor at $0.04 an hour
    assert (
        "| tidegate | yes | http | 64 connections, 10,000 sessions | 25,000 | 2.00 | 5.00 | 8.00 "
        "| 40.0 | 0.00044 | 100 | 0 | 0.2 |"
    ) in text
    assert "$0.04" in text


def test_pictures_and_a_page_that_needs_no_network(found, tmp_path) -> None:
    page, *pictures = plots.write(tmp_path / "out", found)
    assert page.name == "serve.html"
    names = ["latency", "cost", "cpu", "memory"]
    assert [picture.name for picture in pictures] == [f"serve-{name}.png" for name in names]
    for picture in pictures:
        width, height = struct.unpack(">II", picture.read_bytes()[16:24])
        assert width > 600
        assert height > 150
    text = page.read_text()
    head, _, rest = text.partition("<script>")
    body = rest.rpartition("</head>")[2]
    assert not re.search(r"<(script|link|img)[^>]*\s(src|href)=", head + body)
    assert body.count("vegaEmbed(") == 4
    assert body.count("<tr>") == 1 + len(found.rows)


def test_charts_show_servers_and_no_echo(found) -> None:
    drawn = plots.charts(found)
    for name, least in (("latency", 3), ("cpu", 5), ("cost", 5), ("memory", 2)):
        (values,) = drawn[name].to_dict()["datasets"].values()
        assert len(values) >= least
        assert {value["system"] for value in values} <= {"tidegate", "tidegate, memory:", DICT}


def test_metrics_add_up_what_labels_tell_apart() -> None:
    lines = [
        "# TYPE tidegate_store_bytes gauge",
        'tidegate_store_bytes{kind="live"} 2.5',
        'tidegate_store_bytes{kind="dead"} 1',
        "tidegate_store_cuts_total 4.0",
        'tidegate_stall_seconds_bucket{le="0.1"} 4.0',
        "tidegate_stall_seconds_sum 1e-3",
        "tidegate_events_total 7",
        "",
    ]
    found = scrape.samples(lines)
    assert found == {
        "tidegate_store_bytes": 3.5,
        "tidegate_store_cuts_total": 4.0,
        'tidegate_stall_seconds_bucket{le="0.1"}': 4.0,
        "tidegate_stall_seconds_sum": 0.001,
    }
    later = {**found, "tidegate_store_bytes": 2.0, "tidegate_store_cuts_total": 6.0}
    later['tidegate_stall_seconds_bucket{le="0.1"}'] = 5.0
    assert scrape.between(found, later) == {
        "tidegate_store_bytes": 2.0,
        "tidegate_store_cuts_total": 2.0,
        "tidegate_stall_seconds_sum": 0.0,
        "tidegate_stall_seconds_p99": 0.1,
        "tidegate_stall_seconds_most": 0.1,
    }


def test_the_docs_hold_the_results_that_are_kept() -> None:
    page = (ROOT / "docs" / "serving-speed.md").read_text()
    for path in (ROOT / "benchmarks" / "results").glob("serve-*.json"):
        assert markdown.render(results.load(path)).strip() in page, path.name
