"""FastAPI and torch: the states in a dict, or with TIDEGATE_BENCH_REDIS=URL in Redis.

What one writes first. No sequence rules, no durability of the dict; one process, one event a step.
"""

from __future__ import annotations

import os
import time
from contextlib import asynccontextmanager

import numpy as np
import orjson
import torch
from fastapi import FastAPI, Response
from model import FIELDS, Model, answer, start
from pydantic import BaseModel, create_model

Fields = create_model("Fields", **dict.fromkeys(FIELDS, (float, ...)))


class Envelope(BaseModel):
    """An event as it comes."""

    seq: int
    event: Fields


class InDict:
    """States in this process: lost with it."""

    def __init__(self) -> None:
        self._states: dict[str, torch.Tensor] = {}

    async def get(self, session: str) -> torch.Tensor:
        """Return a session's state."""
        found = self._states.get(session)
        return start() if found is None else found

    async def put(self, session: str, state: torch.Tensor) -> None:
        """Keep it."""
        self._states[session] = state


class InRedis:
    """States as bytes in Redis; as durable as its configuration makes them."""

    def __init__(self, url: str) -> None:
        from redis.asyncio import Redis

        self._redis = Redis.from_url(url, max_connections=1024)

    async def get(self, session: str) -> torch.Tensor:
        """Return a session's state."""
        found = await self._redis.get(session)
        if found is None:
            return start()
        return torch.from_numpy(np.frombuffer(found, dtype=np.float32).copy())[None]

    async def put(self, session: str, state: torch.Tensor) -> None:
        """Keep it."""
        await self._redis.set(session, state.numpy().tobytes())


@asynccontextmanager
async def lifespan(app: FastAPI):
    """Load the model; open the states."""
    url = os.environ.get("TIDEGATE_BENCH_REDIS")
    app.state.model = Model()
    app.state.states = InRedis(url) if url else InDict()
    yield


app = FastAPI(lifespan=lifespan)


@app.post("/v1/models/bench/sessions/{session}/events")
async def step(session: str, envelope: Envelope) -> Response:
    """Take one event."""
    row = [getattr(envelope.event, field) for field in FIELDS]
    state = await app.state.states.get(session)
    (value,), state = app.state.model.step([row], state)
    await app.state.states.put(session, state)
    content = orjson.dumps(answer(session, envelope.seq, time.time(), value))
    return Response(content, media_type="application/json")
