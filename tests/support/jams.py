"""A configuration that trains in a second, on the `drives` of these tests."""

from __future__ import annotations

CONFIG = """
[data]
events = "events.csv"
session = "car"
time = "at"
label = "jam"

[schema.fields]
speed = {kind = "numeric"}
lane = {kind = "category"}

[split]
by = "time"
valid_from = 1_000_000
test_from = 2_000_000

[task]
name = "classify"
classes = ["slower", "faster"]

[model]
hidden_size = 8

[train]
epochs = 3
batch_tokens = 256
learning_rate = 0.02
warmup_steps = 5

[bundle]
name = "jams"
version = "1"
out = "bundle"
"""
