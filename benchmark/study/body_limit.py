"""A limit on what a request may carry, enforced while it arrives: nothing longer is ever held."""

from __future__ import annotations

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY: Final = 64 * 1024
"""Bytes. An answer takes about one thousand."""
_REFUSAL: Final = b'{"detail": "The message is too long."}'


class BodyLimit:
    """Answers 413 to a request whose body is longer than `MAX_BODY`, whatever its header claims."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its body, which is read here."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        claimed = dict(scope["headers"]).get(b"content-length", b"0")
        parts, size = list[Message](), 0
        more = True
        while more:
            if size > MAX_BODY or not claimed.isdigit() or int(claimed) > MAX_BODY:
                await _refuse(send)
                return
            message = await receive()
            parts.append(message)
            size += len(message.get("body", b""))
            more = message.get("more_body", False)
        if size > MAX_BODY:
            await _refuse(send)
            return

        async def replay() -> Message:
            return parts.pop(0) if parts else await receive()

        await self.app(scope, replay, send)


async def _refuse(send: Send) -> None:
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": _REFUSAL})
