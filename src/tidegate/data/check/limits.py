"""From where on something is reported: what is clear, not what could be chance."""

from __future__ import annotations

EXPLAINED = 0.99
"""Share of what is not the most common label that a single field tells right. Honest fields do
not come near it; a copy of the target reaches 1, also where a hundredth of it was mended."""

BETTER = 0.1
"""A field knows the future if it errs at most this often, beside how often the last label errs as
a guess of the next one: labels that stay as they are can be guessed by anyone."""

EVENTS, SESSIONS = 20, 10
"""Labelled events, and sessions with such, other than of the most common label: fewer may be told
right by chance. (That an unrelated field orders 10 sessions of 20 right has 1 in 16,796.)"""

VALUE_SESSIONS = 3
"""Sessions in which a value must occur to say anything of a label."""

FEW_VALUES = 20
"""Up to so many different numbers count as classes; more are compared by their order."""

IDENTIFIES = 0.9
"""Share of the events whose category occurs in no other session."""

BEHIND = 0.01
"""Share of a part's events behind the next part's start from which on it is a warning."""

CHANCE = 0.01
"""Sessions are told to be duplicates where fewer than this would be equal by chance."""

MISSING = 0.9
"""Share of missing values."""

FEW_LABELS = 10
"""Labels of a class in a part. Of ten right answers one more or less is a tenth."""

SHOWN = 3
"""Examples in an evidence."""
