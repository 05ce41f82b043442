"""One model in many threads at once: the interpreter's lock is released while the kernels work."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from kernel_models import random_rows, random_weights, walk

from tidegate import core
from tidegate.spec import CategoryInput, LayerSpec, ModelSpec

THREADS = 8
LAYERS = (LayerSpec("gru", 37, layer_norm=True), LayerSpec("lstm", 37), LayerSpec("rnn", 20))


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
def test_threads_get_the_bits_that_they_get_alone(isa: str, precision: str) -> None:
    spec = ModelSpec(9, LAYERS, 3, (CategoryInput(2, 5, 4),))
    model = core.pack(spec, random_weights(spec, 0), precision)
    together = threading.Barrier(THREADS)

    def stepped(k: int, wait: bool) -> bytes:
        slots = np.random.default_rng(k).integers(0, 50, 200)
        states = np.zeros((50, spec.state_size), dtype=np.float32)
        one = np.zeros(spec.state_size, dtype=np.float32)
        found = b""
        for call in range(4):
            rows = random_rows(spec, 200, 10 * k + call)
            outputs = np.empty((200, spec.output_size), dtype=np.float32)
            if wait:
                together.wait(60)
            found += walk(model, spec, rows, slots, states).tobytes()
            model.run(rows, one, outputs)
            found += outputs.tobytes()
        return found + states.tobytes() + one.tobytes()

    alone = [stepped(k, wait=False) for k in range(THREADS)]
    with ThreadPoolExecutor(THREADS) as pool:
        assert list(pool.map(lambda k: stepped(k, wait=True), range(THREADS))) == alone
