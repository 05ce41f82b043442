"""The JSON Schemas of a model's events and answers, with an example that the model answered."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tidegate import answers, instants
from tidegate.answers.words import NUMBER, closed
from tidegate.bundle import Bundle
from tidegate.engine import Engine
from tidegate.schema.config import Field
from tidegate.schema.fitted import Fitted, FittedField
from tidegate.serve.codes import CODES
from tidegate.serve.operations import MOST_SEQ
from tidegate.spec import MAX_SESSION_BYTES

__all__ = [
    "COMMON",
    "SESSION_ID",
    "Example",
    "answer",
    "answer_words",
    "envelope",
    "event_fields",
    "example",
]

_SHOWN_VALUES = 20
_TIME = 1_700_000_000.0

SESSION_ID: dict[str, Any] = {
    "type": "string",
    "minLength": 1,
    "maxLength": MAX_SESSION_BYTES,
    "description": f"1 to {MAX_SESSION_BYTES} bytes of UTF-8.",
}


class Example(NamedTuple):
    """The first event of a session, and what the model answers to it."""

    event: dict[str, Any]
    time: float
    answer: dict[str, Any]


def example(bundle: Bundle) -> Example:
    """Make a typical event of the training data, and let the model answer it.

    Parameters
    ----------
    bundle : Bundle
        The model. A number is the mean of training (median or middle where the scale knows only
        these), a category its most frequent value.
    """
    event = {field.name: _typical(field) for field in _fitted(bundle)}
    engine = Engine.open(bundle, replay=False)
    columns = bundle.schema.stack([bundle.schema.type_event(event)])
    stepped = engine.step_events(["example"], columns, np.array([_TIME]))
    return Example(event, _TIME, answers.open(bundle.task).answer(stepped.outputs)[0])


def _fitted(bundle: Bundle) -> tuple[FittedField, ...]:
    return Fitted.from_dict(bundle.schema.to_dict()).fields


def _typical(field: FittedField) -> float | bool | str:
    if field.config.kind == "numeric":
        return float(f"{field.statistics.mean:.3g}")
    if field.config.kind == "boolean":
        return field.statistics.mean >= 0.5
    values = field.statistics.values
    return values[0] if values else "other"


def event_fields(bundle: Bundle) -> dict[str, Any]:
    """Return the schema of an event's fields."""
    fields = _fitted(bundle)
    required = [f.name for f in fields if f.config.missing == "refuse" and not f.config.constant]
    return {
        "type": "object",
        "description": f"The fields of an event of {bundle.name}.",
        "properties": {field.name: _field(field) for field in fields},
        "additionalProperties": False,
        **({"required": required} if required else {}),
    }


_TYPES: dict[str, list[str]] = {
    "numeric": ["number"],
    "category": ["string", "integer"],
    "boolean": ["boolean"],
}
_MISSING = {
    "refuse": "",
    "carry": "Where it is missing, the session's last value stands.",
    "mean": "Where it is missing, the mean of training stands.",
    "zero": "Where it is missing, 0 stands.",
}


def _field(field: FittedField) -> dict[str, Any]:
    config = field.config
    needed = config.missing == "refuse" and not config.constant
    types = _TYPES[config.kind]
    words = [_MISSING[config.missing], *_kind_words(config, field.statistics.values)]
    return {
        "type": types[0] if needed and len(types) == 1 else [*types, *([] if needed else ["null"])],
        "description": " ".join(word for word in words if word),
        "examples": [_typical(field)],
    }


def _kind_words(config: Field, values: tuple[str, ...]) -> list[str]:
    words = []
    if config.constant:
        words.append("The first event of a session has it; it never changes after that.")
    if config.kind == "category":
        shown = ", ".join(values[:_SHOWN_VALUES])
        more = f" and {len(values) - _SHOWN_VALUES:,} more" if len(values) > _SHOWN_VALUES else ""
        words.append(f"Known values: {shown}{more}. Others count as unknown; integers as text.")
    return words


def answer_words(bundle: Bundle) -> dict[str, Any]:
    """Return the schema of what the task answers."""
    return answers.open(bundle.task).schema()


_SEQ: dict[str, Any] = {
    "type": "integer",
    "minimum": 1,
    "maximum": MOST_SEQ,
    "description": "Number of the event in its session: from 1, one more with each event.",
}
_INSTANT: dict[str, Any] = {
    "type": ["number", "string", "null"],
    "format": "date-time",
    "minimum": instants.EARLIEST,
    "maximum": instants.LATEST,
    "description": "RFC 3339 with an offset, or unix seconds. Without it, the time of receipt.",
}
_SECONDS = {**NUMBER, "description": "Unix seconds."}


def envelope(fields: str, *, session: bool) -> dict[str, Any]:
    """Return the schema of an event, whose fields have the schema named `fields`.

    Parameters
    ----------
    fields : str
        Name of a component.
    session : bool
        Whether it has to name its session, as on the routes without one in the path.
    """
    identity = SESSION_ID if session else {**SESSION_ID, "type": ["string", "null"]}
    optional = () if session else ("session",)
    return closed(
        {
            "session": identity,
            "seq": {**_SEQ, "type": ["integer", "null"]},
            "time": _INSTANT,
            "start": {"type": "boolean", "description": "Begin the session anew."},
            "end": {"type": "boolean", "description": "End the session after this event."},
            "event": {"$ref": f"#/components/schemas/{fields}"},
        },
        (*optional, "seq", "time", "start", "end"),
    )


def answer(words: str) -> dict[str, Any]:
    """Return the schema of an answer, whose words have the schema named `words`."""
    flags = {
        "duplicate": "The event had been answered before; nothing was applied now.",
        "session_reset": "The session began anew: it belonged to another model.",
    }
    return closed(
        {
            "session": SESSION_ID,
            "seq": _SEQ,
            "time": {**_SECONDS, "description": "The effective time, unix seconds."},
            "model_version": {"type": "string"},
            "answer": {"$ref": f"#/components/schemas/{words}"},
            **{name: {"const": True, "description": text} for name, text in flags.items()},
        },
        tuple(flags),
    )


_ERROR = closed(
    {
        "code": {"enum": list(CODES), "description": "Stable: for programs."},
        "message": {"type": "string", "description": "What was wrong, naming the value."},
        "field": {"type": "string", "description": "What the error is about."},
        "expected": {
            "type": "integer",
            "minimum": 1,
            "description": "The number that would have been accepted.",
        },
        "hint": {"type": "string", "description": "What to do about it."},
    },
    ("field", "expected"),
)

COMMON: dict[str, Any] = {
    "Error": closed({"error": {"$ref": "#/components/schemas/ErrorBody"}}),
    "ErrorBody": _ERROR,
    "LineError": closed(
        {
            "error": {"$ref": "#/components/schemas/ErrorBody"},
            "line": {"type": "integer", "minimum": 1, "description": "Line of the body, from 1."},
        },
        ("line",),
    ),
    "Session": closed(
        {
            "session": SESSION_ID,
            "status": {"enum": ["live", "ended", "deleted", "expired"]},
            "seq": {"type": "integer", "minimum": 0, "description": "Number of its last event."},
            **dict.fromkeys(("time", "created", "updated"), _SECONDS),
            "model_version": {"type": "string"},
        }
    ),
    "Model": closed(
        {
            "name": {"type": "string"},
            "version": {"type": "string"},
            "fingerprint": {"type": "string", "pattern": "^[0-9a-f]*$"},
            "task": {
                "type": "object",
                "description": "What the model is for.",
                "required": ["name", "label", "per"],
            },
            "fields": {"type": "object", "description": "The fields of an event, by name."},
            "kept_answers": {
                "type": "integer",
                "minimum": 1,
                "description": "How many of a session's last answers a retry can have again.",
            },
        }
    ),
    "Models": closed(
        {"models": {"type": "array", "items": {"$ref": "#/components/schemas/Model"}}}
    ),
    "Health": closed({"status": {"type": "string"}}),
}
"""Schemas that no model changes."""
