"""``tidegate compress``: a bundle with its matrices in fewer bits, and what that costs."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from tidegate.cli.evaluate import LabelOption, label_of, measure
from tidegate.cli.events import BundleArgument, SeqOption, SessionOption, TimeOption, read
from tidegate.cli.verbs import CHECK_FAILED, verb, write_json
from tidegate.errors import InputError

__all__ = ["EXAMPLES", "NAME", "command"]

NAME = "compress"
EXAMPLES = (
    "Examples:  tidegate compress BUNDLE --int8 --eval labelled.parquet  |  "
    "tidegate compress BUNDLE --bf16 --out small --eval e.csv --max-loss auc=0.002"
)


@verb
def command(
    bundle: BundleArgument,
    int8: Annotated[bool, typer.Option("--int8/--bf16", help="The precision of the matrices.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder to write. Default: BUNDLE-int8 or BUNDLE-bf16.")
    ] = None,
    events: Annotated[
        Path | None,
        typer.Option(
            "--eval", help="Labelled events to measure both bundles on: .csv or .parquet."
        ),
    ] = None,
    max_loss: Annotated[
        str | None,
        typer.Option(
            metavar="METRIC=VALUE",
            help="With --eval: write nothing, and exit with 6, if the metric gets worse by more.",
        ),
    ] = None,
    version: Annotated[
        str | None,
        typer.Option(help="Of the new bundle. Default: the old one's with -int8 or -bf16."),
    ] = None,
    session: SessionOption = None,
    time: TimeOption = None,
    seq: SeqOption = None,
    label: LabelOption = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a bundle that is there already.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Round a bundle's matrices to int8 or bf16, and report its accuracy before and after.

    No training and no calibration data is needed. Sessions of the old bundle are not continued by
    the new one: it gives other answers.
    """
    import numpy as np

    from tidegate import bundle as bundles
    from tidegate.bundle.weights import encode
    from tidegate.engine.compress import compress

    limit = _limit(max_loss, events)
    source = bundles.load(bundle)
    made = compress(source, "int8" if int8 else "bf16", version=version)
    if out is None:
        folder = bundle.resolve()
        out = folder.with_name(f"{folder.name}-{made.precision}")
    bundles.check_target(out, made.name, made.version, overwrite=overwrite)
    report: dict[str, Any] = {
        "name": made.name,
        "version": made.version,
        "precision": made.precision,
        "weight_bytes": {"before": len(encode(source.weights)), "after": len(encode(made.weights))},
    }
    before, after = source.vectors["outputs"], made.vectors["outputs"]
    if events is not None:
        table = read(source, events, session, time, seq, label or label_of(source.task))
        before, was = measure(source, table)
        after, now = measure(made, table)
        difference = {name: now[name] - was[name] for name in was if name != "n"}
        report["metrics"] = {"before": was, "after": now, "difference": difference}
        measured = {f"{events.name} (fp32)": was, f"{events.name} ({made.precision})": now}
        metrics = {**made.provenance["metrics"], **measured}
        made = replace(made, provenance={**made.provenance, "metrics": metrics})
    report["largest_difference"] = float(np.abs(after - before).max(initial=0.0))
    failure = _failure(limit, report)
    if failure is None:
        saved = bundles.save(made, out, overwrite=overwrite)
        report |= {"bundle": str(saved.path), "fingerprint": saved.fingerprint.hex()}
    if json:
        write_json(report)
    else:
        _show(report, events)
    if failure is not None:
        typer.echo(f"error: {failure}; nothing was written", err=True)
        raise typer.Exit(CHECK_FAILED)


def _limit(max_loss: str | None, events: Path | None) -> tuple[str, float] | None:
    """Return the metric and by how much it may get worse."""
    if max_loss is None:
        return None
    if events is None:
        raise InputError(
            "missing_option",
            "there is nothing to measure on",
            field="--eval",
            hint="give --eval EVENTS",
        )
    metric, _, value = max_loss.partition("=")
    try:
        allowed = float(value)
    except ValueError:
        allowed = math.nan
    if not allowed >= 0:
        raise InputError(
            "bad_limit",
            f"{max_loss!r} is not METRIC=VALUE with a value of 0 or more",
            field="--max-loss",
            hint="write auc=0.002, say",
        )
    return metric, allowed


def _failure(limit: tuple[str, float] | None, report: dict[str, Any]) -> str | None:
    """Say by how much the metric got worse, if that is too much."""
    from tidegate import answers

    if limit is None:
        return None
    metric, allowed = limit
    changes = report["metrics"]["difference"]
    if metric not in changes:
        raise InputError(
            "unknown_metric",
            f"{metric!r} is not measured on these events",
            field="--max-loss",
            hint=f"use one of {', '.join(changes)}" if changes else "give events with labels",
        )
    loss = -changes[metric] if metric in answers.HIGHER_IS_BETTER else changes[metric]
    return None if loss <= allowed else f"{metric} is worse by {loss:.4g}, {allowed:g} is allowed"


def _show(report: dict[str, Any], events: Path | None) -> None:
    from rich.console import Console
    from rich.table import Table

    size, metrics = report["weight_bytes"], report.get("metrics")
    shown = Table(title="{name} {version}".format(**report))
    shown.add_column("")
    for column in ("fp32", report["precision"], "difference"):
        shown.add_column(column, justify="right")
    saved = f"{size['after'] / size['before'] - 1:+.0%}"
    shown.add_row("weights, bytes", f"{size['before']:,}", f"{size['after']:,}", saved)
    if metrics:
        for name, change in metrics["difference"].items():
            numbers = (metrics["before"][name], metrics["after"][name])
            shown.add_row(name, *(f"{number:,.5f}" for number in numbers), f"{change:+.2g}")
    shown.add_row("largest change of an output", "", "", f"{report['largest_difference']:.2g}")
    console = Console()
    console.print(shown)
    if metrics is None:
        console.print("measured on the bundle's test vectors; --eval EVENTS measures its accuracy")
    else:
        console.print(f"measured on {metrics['after']['n']:,} labels of {events}", highlight=False)
    if "bundle" in report:
        console.print(f"bundle: {report['bundle']}", highlight=False, soft_wrap=True)
