"""What a person sees at the end: tables on the terminal, a page with plots, a picture."""

from __future__ import annotations

import html
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import altair as alt
import plots
import vl_convert
from baselines import LAGS
from rich.console import Console, Group
from rich.table import Table
from summary import NO_HISTORY, Summary

__all__ = ["print_summary", "write_page", "write_picture"]

Plots: TypeAlias = Mapping[str, alt.TopLevelMixin]

_TEXTS = {
    "auc": "How well each model ranks November's and December's flights: 0.5 is guessing. "
    "“Memory reset” is the same trained GRU, with its state zeroed before every question; "
    "“trained without memory” is the same net, trained that way. Boosting with hand-made lags "
    f"gets the same facts as the GRU, worked into {len(LAGS)} features.",
    "roc": "Each point is a threshold: which share of the late flights is found, at the price of "
    "which share of the others.",
    "one_day": "Of all days with 200 flights or more at one airport, the one whose share of late "
    "flights is nearest to one half. Each mark is a flight; its height is what the server answered "
    "an hour before the scheduled departure.",
    "calibration": "Twelve bins of equal size. A point on the diagonal means: of flights called "
    "late with that probability, that share was late.",
    "throughput": "The server is killed with SIGKILL under load and started again on the same "
    "store. The clients send what was unanswered once more, with the same sequence number.",
    "latency": "One event a request; an answer leaves only after its session's record is on disk. "
    "Clients and server share the machine.",
    "training": "October chooses the epoch by its AUC. Dashed: loss on January to September, while "
    "learning. October is a calm month: fewer late flights, so a lower loss.",
}

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>tidegate: the flights of 2013</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 1000px;
  margin: 2rem auto; padding: 0 1rem; }}
h1 {{ font-size: 1.6rem; }}  h2 {{ font-size: 1.15rem; margin-top: 2.2rem; }}
p {{ max-width: 46rem; }}  .plots {{ display: flex; flex-wrap: wrap; gap: 1.5rem; }}
figure {{ margin: 0; }}  figcaption {{ max-width: 28rem; color: #555; font-size: .87rem; }}
.wide figcaption {{ max-width: 46rem; }}
table {{ border-collapse: collapse; margin: .5rem 2.5rem .5rem 0; display: inline-table;
  vertical-align: top; }}
td, th {{ padding: .2rem .9rem .2rem 0; border-bottom: 1px solid #e6e6e6; text-align: left; }}
td:last-child {{ text-align: right; font-variant-numeric: tabular-nums; }}
</style>
<script>{javascript}</script></head><body>
<h1>Will this flight be late? A model with a memory, served through two kills</h1>
<p>One session is what one carrier does at one airport of New York on one day. The GRU sees each
flight scheduled, departed and landed as it becomes known. It is asked an hour before each scheduled
departure whether that flight will arrive more than 15 minutes late. It was trained on January to
September 2013; the stream is November and December.</p>
{tables}
{sections}
</body></html>
"""


def print_summary(summary: Summary, failures: list[str], console: Console) -> None:
    """Print the numbers, and what is wrong with them."""
    models = Table("model", "sees", title="AUC, November and December", title_justify="left")
    models.add_column("AUC", justify="right")
    for name, auc in sorted(summary.auc.items(), key=lambda item: -item[1]):
        style = "bold" if name == "gru" else None
        models.add_row(plots.LABELS[name], _sees(name), f"{auc:.4f}", style=style)
    stream = Table("stream", title="A stream through two kills", title_justify="left")
    stream.add_column("", justify="right")
    for name, value in _stream_rows(summary).items():
        stream.add_row(name, value)
    console.print(Group(models, stream))
    for failure in failures:
        console.print(f"[bold red]failed:[/] {failure}")
    if not failures:
        gain = summary.auc["gru"] - summary.auc["gru_memory_reset"]
        console.print(
            f"[bold green]Nothing was lost[/] in {summary.kills} kills, every answer equals its "
            f"replay to the bit, and the memory is worth {gain:+.3f} of AUC."
        )


def write_page(path: Path, summary: Summary, charts: Plots) -> None:
    """Write the page; it needs no network."""
    wide = {"one_day", "training"}
    sections = []
    for title, names in {
        "What memory is worth": ("auc", "roc", "one_day", "calibration"),
        "What a kill costs": ("throughput", "latency"),
        "How it was trained": ("training",),
    }.items():
        figures = "\n".join(_figure(name, charts[name], name in wide) for name in names)
        sections.append(f'<h2>{title}</h2><div class="plots">\n{figures}\n</div>')
    page = _PAGE.format(
        javascript=vl_convert.javascript_bundle().replace("</script", "<\\/script"),
        tables=_html_tables(summary),
        sections="\n".join(sections),
    )
    path.write_text(page, encoding="utf-8")


def write_picture(path: Path, charts: Plots) -> None:
    """Write the key plots as one PNG."""
    picture = plots.overview(charts)
    path.write_bytes(vl_convert.vegalite_to_png(picture.to_json(), scale=1.25))


def _figure(name: str, chart: alt.TopLevelMixin, wide: bool) -> str:
    spec = plots.themed(chart).to_json(indent=None).replace("</", "<\\/")
    kind = ' class="wide"' if wide else ""
    return (
        f'<figure{kind}><div id="{name}"></div>'
        f"<figcaption>{html.escape(_TEXTS[name])}</figcaption>"
        f'<script>vegaEmbed("#{name}", {spec}, {{actions: false}})</script></figure>'
    )


def _html_tables(summary: Summary) -> str:
    auc = sorted(summary.auc.items(), key=lambda item: -item[1])
    models = {plots.LABELS[name]: f"{value:.4f}" for name, value in auc}
    return _html_table("model", "AUC", models) + _html_table("stream", "", _stream_rows(summary))


def _html_table(left: str, right: str, rows: Mapping[str, str]) -> str:
    body = "".join(
        f"<tr><td>{html.escape(name)}</td><td>{html.escape(value)}</td></tr>"
        for name, value in rows.items()
    )
    return f"<table><tr><th>{left}</th><th>{right}</th></tr>{body}</table>"


def _sees(name: str) -> str:
    return "this flight" if name in NO_HISTORY else "the day so far"


def _stream_rows(summary: Summary) -> dict[str, str]:
    in_flight = " and ".join(map(str, summary.in_flight_at_kill))
    return {
        "events": f"{summary.events:,}",
        "sessions": f"{summary.sessions:,}",
        "kill -9": f"{summary.kills}",
        "requests in flight then": in_flight,
        "sent again": f"{summary.retried:,}",
        "of these known already": f"{summary.duplicates:,}",
        "continuity errors": f"{summary.continuity_errors:,}",
        "answers compared with the replay": f"{summary.replay_compared:,}",
        "answers that differ": f"{summary.replay_mismatches:,}",
        "median latency": f"{summary.http_p50_ms:.1f} ms",
        "99th percentile": f"{summary.http_p99_ms:.1f} ms",
        "events a second": f"{summary.events_per_s:,.0f}",
        "seconds in all": f"{summary.seconds:.0f}",
    }
