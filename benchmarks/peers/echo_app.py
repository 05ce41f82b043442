"""An RSGI application that answers what it was sent: what granian alone can do."""

from __future__ import annotations

from typing import Any


class Echo:
    """HTTP and WebSocket."""

    async def __rsgi__(self, scope: Any, proto: Any) -> None:
        """Answer a request, or the frames of a WebSocket."""
        if scope.proto == "http":
            proto.response_bytes(200, [("content-type", "application/json")], await proto())
            return
        socket = await proto.accept()
        while (message := await socket.receive()).kind:
            await socket.send_str(message.data)


app = Echo()
