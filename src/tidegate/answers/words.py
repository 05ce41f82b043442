"""JSON schemas of answers, from parts."""

from __future__ import annotations

from typing import Any

__all__ = ["NUMBER", "closed"]

NUMBER: dict[str, Any] = {"type": "number"}


def closed(properties: dict[str, Any], optional: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the schema of an object that has these members and no others.

    Examples
    --------
    >>> closed({"value": NUMBER})["required"]
    ['value']
    """
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
    }
