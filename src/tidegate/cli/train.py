"""``tidegate train``: from a configuration and a table to a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tidegate.cli.verbs import verb, write_json

__all__ = ["EXAMPLES", "NAME", "command"]

NAME = "train"
EXAMPLES = (
    "Examples:  tidegate train train.toml  |  tidegate train train.toml --tensorboard runs/  |  "
    "tidegate train train.toml --fresh"
)


@verb
def command(
    config: Annotated[
        Path, typer.Argument(help="What to train on what: a .toml file.", show_default=False)
    ],
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Begin anew instead of resuming after a Ctrl-C.")
    ] = False,
    tensorboard: Annotated[
        Path | None, typer.Option(help="Also write TensorBoard logs to this folder.")
    ] = None,
    mlflow: Annotated[
        bool,
        typer.Option(
            "--mlflow",
            help="Also log to MLflow: to MLFLOW_TRACKING_URI, else mlflow.db beside the file.",
        ),
    ] = False,
    mlflow_uri: Annotated[
        str | None, typer.Option(help="Also log to MLflow at this URI.", show_default=False)
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Train a model and write its bundle. Ctrl-C stops it; the same command goes on."""
    from tidegate import train

    if mlflow and mlflow_uri is None:
        from tidegate.train.tracking import default_uri

        mlflow_uri = default_uri(config.parent)
    bundle = train.run(
        train.load_config(config),
        resume=not fresh,
        tensorboard=tensorboard,
        mlflow=mlflow_uri,
        quiet=json,
    )
    metrics = bundle.provenance.get("metrics", {})
    if json:
        write_json({"bundle": str(bundle.path), "version": bundle.version, "metrics": metrics})
        return
    for part, values in metrics.items():
        listed = ", ".join(
            f"{name} {value:,}" if name == "n" else f"{name} {value:.4g}"
            for name, value in values.items()
        )
        typer.echo(f"{part}: {listed}")
    typer.echo(f"bundle: {bundle.path}")
