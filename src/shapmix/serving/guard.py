"""What stands before the application: sizes of requests, foreign pages, headers for browsers."""

import asyncio
from contextlib import suppress

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

DISCARDED = 4  # times the most bytes of a body
PATIENCE = 5.0  # seconds
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",  # unless a page's own
}


class Guard:
    """Refuses bodies that are too large as they come in, and what other sites' pages send.

    Args:
        app: the application behind.
        body_bytes: most bytes of a body, declared or received.
    """

    def __init__(self, app: ASGIApp, body_bytes: int) -> None:
        self.app, self.body_bytes = app, body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        headers = Headers(scope=scope)
        refusal = self._foreign(headers) or self._declared(headers)
        if refusal is not None:
            await self._discard(receive)
            await refusal(scope, receive, answer)
        else:
            await self.app(scope, self._counting(receive), answer)

    def _foreign(self, headers: Headers) -> JSONResponse | None:
        """A refusal of a request that a page of another site makes."""
        origin = headers.get("origin")
        if origin is None or origin.partition("://")[2] == headers.get("host"):
            return None
        words = f"this is no place for pages of {origin}: call the API from a program, or open /"
        return JSONResponse({"detail": words}, 403)

    def _declared(self, headers: Headers) -> JSONResponse | None:
        """A refusal of a body that is too large by its own account."""
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit()):
            return JSONResponse({"detail": "Content-Length is no number"}, 400)
        if len(length) < 20 and int(length) <= self.body_bytes:
            return None
        return JSONResponse({"detail": self._words()}, 413, {"Connection": "close"})

    def _counting(self, receive: Receive) -> Receive:
        """`receive`, until more came than may."""
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.body_bytes:
                if message.get("more_body"):
                    await self._discard(receive)
                raise HTTPException(413, self._words(), {"Connection": "close"})
            return message

        return counted

    async def _discard(self, receive: Receive) -> None:
        """Let a client end what it sends, within reason: before, many do not read an answer."""
        left = DISCARDED * self.body_bytes
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while left > 0:
                    message = await receive()
                    left -= len(message.get("body", b""))
                    if not message.get("more_body"):
                        return

    def _words(self) -> str:
        return (
            f"the request is larger than {self.body_bytes} bytes, the most that this server "
            "takes: send fewer or shorter clips, or start it with a larger --max-mb"
        )
