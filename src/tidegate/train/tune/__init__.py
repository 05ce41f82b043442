"""Tuning: which settings of a training configuration do best on its validation part.

`run.tune` tries many, `space` says which. Needs the extra ``tune``; nothing here is loaded by
training itself but `space`, for the section ``[tune]``.
"""
