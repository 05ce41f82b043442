"""The few exceptions of tidegate.

Every error that a user can cause says four things: a stable `code` for programs, the `field` it is
about (when there is one), what was wrong, and a `hint` at what to do next. No error leaves anything
half changed.
"""

from __future__ import annotations

import reprlib
from typing import Self

__all__ = [
    "BundleError",
    "EngineError",
    "InputError",
    "OverloadError",
    "RecordError",
    "SequenceError",
    "StoreError",
    "TidegateError",
    "shown",
]


class TidegateError(Exception):
    """Base of every error that tidegate raises on purpose.

    Parameters
    ----------
    code : str
        Stable, machine-readable name of the rule that was broken, such as ``"missing_field"``.
    message : str
        What was wrong, naming the value.
    field : str, optional
        The field, option, file or column that the error is about.
    expected : int, optional
        The sequence number that would have been accepted (sequence errors only).
    hint : str, optional
        What to do about it.
    row : int, optional
        Place of the broken value in the columns that were given, from 0. The message counts from 1,
        as people count the rows of a table.

    Examples
    --------
    >>> error = InputError("wrong_type", "'fast' is not a number", field="speed", hint="send 12.5")
    >>> str(error)
    "speed: 'fast' is not a number (wrong_type); send 12.5"
    >>> error.to_dict()["code"]
    'wrong_type'
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        field: str | None = None,
        expected: int | None = None,
        hint: str = "",
        row: int | None = None,
    ) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message if row is None else f"row {row + 1}: {message}"
        self.field = field
        self.expected = expected
        self.hint = hint
        self.row = row
        self._without_row = message

    def __str__(self) -> str:
        where = f"{self.field}: " if self.field else ""
        what_next = f"; {self.hint}" if self.hint else ""
        return f"{where}{self.message} ({self.code}){what_next}"

    def at_row(self, row: int) -> Self:
        """Return the same error at another row.

        Examples
        --------
        >>> InputError("missing_field", "is missing", field="speed", row=0).at_row(6).message
        'row 7: is missing'
        """
        return type(self)(
            self.code,
            self._without_row,
            field=self.field,
            expected=self.expected,
            hint=self.hint,
            row=row,
        )

    def to_dict(self) -> dict[str, str | int]:
        """Return the error as the members of the wire format's ``error`` object."""
        members: dict[str, str | int] = {"code": self.code, "message": self.message}
        if self.field is not None:
            members["field"] = self.field
        if self.expected is not None:
            members["expected"] = self.expected
        members["hint"] = self.hint
        return members


class InputError(TidegateError, ValueError):
    """An event, a table, a configuration or an argument breaks a rule."""


class SequenceError(TidegateError):
    """An event does not fit into its session: a gap, a conflict, a stale or a finished one."""


class BundleError(TidegateError):
    """A bundle is damaged, incomplete or from another version."""


class EngineError(TidegateError):
    """An engine cannot run a model, or does not reproduce its test vectors."""


class StoreError(TidegateError):
    """The store cannot be opened, read or written."""


class RecordError(StoreError):
    """The stored bytes of one session are damaged or from another version."""


class OverloadError(TidegateError):
    """The server takes no more right now: a limit is reached, it drains, or its store failed."""


def shown(value: object) -> str:
    """Return a short form of any value, safe to put into a message.

    Examples
    --------
    >>> shown("a" * 10_000)
    "'aaaaaaaaaaaa...aaaaaaaaaaaaa'"
    """
    try:
        return reprlib.repr(value)
    except ValueError:  # Python refuses to write an integer of more than 4,300 digits
        return f"a very large {type(value).__name__}"
