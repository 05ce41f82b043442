"""The model card: what a person wants to know of a bundle before trusting it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tidegate import answers
from tidegate.spec import LABELLED

if TYPE_CHECKING:
    from tidegate.bundle.bundle import Bundle

__all__ = ["write"]


def write(bundle: Bundle) -> str:
    """Return a bundle's model card as Markdown.

    Parameters
    ----------
    bundle : Bundle
        What the card is about; `provenance` members that are missing are left out.
    """
    task, spec, provenance = bundle.task, bundle.spec, bundle.provenance
    layers = ", ".join(f"{layer.cell} {layer.hidden_size}" for layer in spec.layers)
    sections = [
        f"# {bundle.name}, version {bundle.version}",
        _answers(bundle),
        "## The model",
        f"Layers from the input up: {layers}. {spec.parameters:,} parameters"
        f"{_rounding(bundle)}. {_memory(bundle)}",
        "## What an event holds",
        _table(
            ("field", "kind", "scale", "missing", "constant"),
            [
                (
                    name,
                    field.kind,
                    field.scale if field.kind == "numeric" else "",
                    field.missing,
                    "yes" if field.constant else "",
                )
                for name, field in bundle.schema.config.fields.items()
            ],
        ),
    ]
    if bundle.schema.config.time is not None:
        features = ", ".join(bundle.schema.config.time.features)
        sections.append(f"Time features: {features}.")
    metrics: Mapping[str, Mapping[str, float]] = provenance.get("metrics", {})
    if metrics:
        names = list(dict.fromkeys(name for part in metrics.values() for name in part))
        sections += [
            "## How good it is",
            _table(
                ("part", *names),
                [(part, *(_number(row.get(n)) for n in names)) for part, row in metrics.items()],
            ),
        ]
    lengths: Mapping[str, float] = provenance.get("lengths", {})
    if lengths:
        sections += [
            "## What it was trained on",
            _table(tuple(lengths), [tuple(_number(value) for value in lengths.values())]),
        ]
    never = f"; {task.label!r} is never a field" if task.name in LABELLED else ""
    sections += [
        "## What to mind",
        f"- Answers are for events like those of training{never}.\n"
        "- Numbers far outside the baseline's range, and categories outside the vocabulary, "
        "are accepted; watch how often they come.\n"
        "- The hidden state of one bundle means nothing to another.",
        "## Where it comes from",
        _table(("what", "value"), _origin(provenance)),
    ]
    return "\n\n".join(sections) + "\n"


def _origin(provenance: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return the plain facts of a provenance; histories and metrics have their own places."""
    facts: list[tuple[str, ...]] = []
    for key, value in provenance.items():
        if key in {"metrics", "lengths", "settings", "given"}:
            continue
        members = value.items() if isinstance(value, dict) else [("", value)]
        facts += [
            (f"{key}.{member}".rstrip("."), str(fact))
            for member, fact in members
            if isinstance(fact, str | int | float)
        ]
    return facts


def _answers(bundle: Bundle) -> str:
    return f"For each {bundle.task.per} it {answers.open(bundle.task).summary}."


def _rounding(bundle: Bundle) -> str:
    return "" if bundle.precision == "fp32" else f", the matrices in {bundle.precision}"


def _memory(bundle: Bundle) -> str:
    if not bundle.spec.streams:
        return (
            "It looks at a session in both directions: it scores whole sessions, and cannot serve."
        )
    return (
        f"A session's hidden state is {bundle.spec.state_size} floats, its encoder state "
        f"{bundle.schema.state_size} doubles."
    )


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
