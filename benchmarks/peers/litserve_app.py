"""LitServe and torch: batches as LitServe makes them, the states in a dict of its one worker."""

from __future__ import annotations

import sys
import time

import litserve
import torch
from model import FIELDS, Model, answer, start


class Recurrent(litserve.LitAPI):
    """One event a request, its session in the body."""

    def setup(self, device: str) -> None:  # noqa: ARG002
        """Load the model."""
        self.model = Model()
        self.states: dict[str, torch.Tensor] = {}

    def decode_request(self, request: dict) -> dict:
        """Take the JSON as it is."""
        return request

    def batch(self, inputs: list[dict]) -> list[dict]:
        """Leave the events of a batch as a list."""
        return inputs

    def predict(self, events: list[dict]) -> list[dict]:
        """Step the batch; no session is in it twice, as a client waits for its answer."""
        sessions = [event["session"] for event in events]
        rows = [[event["event"][field] for field in FIELDS] for event in events]
        states = torch.cat([self.states.get(session, start()) for session in sessions])
        values, states = self.model.step(rows, states)
        self.states.update(zip(sessions, states.split(1), strict=True))
        now = time.time()
        return [
            answer(event["session"], event["seq"], now, value)
            for event, value in zip(events, values, strict=True)
        ]

    def unbatch(self, output: list[dict]) -> list[dict]:
        """Leave the answers as a list."""
        return output

    def encode_response(self, output: dict) -> dict:
        """Answer with JSON."""
        return output


if __name__ == "__main__":
    api = Recurrent(max_batch_size=64, batch_timeout=0.0005, api_path="/predict")
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1, fast_queue=True)
    server.run(
        host="127.0.0.1",
        port=int(sys.argv[1]),
        num_api_servers=1,
        log_level="error",
        access_log=False,
        generate_client_file=False,
    )
