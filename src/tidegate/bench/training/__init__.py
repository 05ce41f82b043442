"""A layer's training step, timed beside torch's layers and a Python loop over cells.

`run` needs torch; `results`, `cases`, `goals` and `markdown` do not.
"""
