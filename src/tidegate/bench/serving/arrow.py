"""A template of an Arrow IPC stream, in whose buffers the load generator writes."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from tidegate.bench.serving.model import FIELDS

__all__ = ["write_template"]


def write_template(path: Path, rows: int) -> None:
    """Write a stream of one record batch, after a line that says where its buffers lie.

    The line: rows, where the text of ``session`` (9 bytes each), ``seq`` (int64) and each field
    (float64) begin, and how long the stream is.

    Parameters
    ----------
    path : Path
        Of the file.
    rows : int
        Of the record batch.

    Raises
    ------
    ImportError
        pyarrow is not installed.
    """
    import pyarrow

    rng = np.random.default_rng(0)
    sessions = [f"s{i:08d}" for i in range(rows)]
    seq = rng.integers(1, 2**62, rows)
    fields = {name: rng.normal(size=rows) for name in FIELDS}
    batch = pyarrow.record_batch({"session": pyarrow.array(sessions), "seq": seq, **fields})
    stream = io.BytesIO()
    with pyarrow.ipc.new_stream(stream, batch.schema) as writer:
        writer.write_batch(batch)
    content = stream.getvalue()
    texts = ["".join(sessions).encode(), seq.tobytes(), *(f.tobytes() for f in fields.values())]
    if any(content.count(text) != 1 for text in texts):
        raise AssertionError("a buffer of the stream is not where it can be told")
    places = " ".join(str(content.index(text)) for text in texts)
    path.write_bytes(f"tidegate-arrow {rows} {places} {len(content)}\n".encode() + content)
