"""How findings are printed, and how a command that has some exits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from tidegate.cli.verbs import CHECK_FAILED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidegate.findings import Finding

__all__ = ["failed", "show"]

_COLOURS = {"serious": "red", "warning": "yellow", "note": "cyan"}


def show(title: str, findings: Sequence[Finding], well: str, why: str) -> None:
    """Print findings; without any, that all is well and why."""
    from rich.console import Console
    from rich.markup import escape
    from rich.padding import Padding

    console = Console(highlight=False)
    console.print(escape(title), soft_wrap=True)
    if not findings:
        console.print(f"[green]{well}[/green]: {why}")
    for finding in findings:
        colour = _COLOURS[finding.severity]
        console.print(f"\n[{colour}]{finding.severity}[/{colour}] [bold]{finding.name}[/bold]")
        console.print(Padding(escape(finding.evidence), (0, 0, 0, 2)))
        console.print(Padding(f"[bold]next:[/bold] {escape(finding.next_step)}", (0, 0, 0, 2)))


def failed(findings: Sequence[Finding]) -> None:
    """Leave with 6 if there is more than notes."""
    if any(finding.severity != "note" for finding in findings):
        raise typer.Exit(CHECK_FAILED)
