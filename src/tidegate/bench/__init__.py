"""Honest timings of tidegate beside torch and ONNX Runtime, and the roof over both.

`run` needs torch, onnx and onnxruntime; `results`, `cases` and `markdown` need none of them.
"""
