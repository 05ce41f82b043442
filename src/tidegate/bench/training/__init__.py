"""A layer's training step, timed beside torch's layers and a Python loop over cells."""
