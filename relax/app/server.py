"""The app over HTTP: addresses, headers, sizes; what a request comes to is in `relax.app.service`.

Every request but those for the page itself carries a header that browsers send for other sites only after asking, which
is never allowed; so no other page in the same browser can use the app. The `Host` must be the server's own name.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote, unquote

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from relax.app import page
from relax.app.refusals import Refusal
from relax.app.service import Service
from relax.app.visitors import ROLES, Visitor

SECRET = "x-relax-visitor"  # noqa: S105  # the name of the header
LARGEST_FORM = 1_000_000  # bytes; a painted layer takes 350,000
SWEEP = 20.0  # seconds between two looks for visitors that are gone

Answer = Callable[[Request, Visitor], Awaitable[Response]]


class Server:
    """The routes of one service."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self._quick = ThreadPoolExecutor(1, "answering")  # pictures are read and painted one by one,
        self._drawing = ThreadPoolExecutor(1, "drawing")  # and files, which take longer, are made one by one

    def app(self, hosts: Sequence[str]) -> Starlette:
        """The ASGI application, which answers under these names; "*" is any."""
        routes = [
            Route("/", self.static(page.page, "text/html")),
            Route("/style.css", self.static(page.style, "text/css")),
            Route("/script.js", self.static(page.script, "text/javascript")),
            Route("/favicon.ico", self.nothing),
            Route("/visitor", self.guarded(self.welcome, known=False), methods=["POST"]),
            Route("/visitor", self.guarded(self.leave), methods=["DELETE"]),
            Route("/visitor/alive", self.guarded(self.alive), methods=["POST"]),
            Route("/picture/{role}", self.guarded(self.upload), methods=["PUT"]),
            Route("/picture/{role}", self.guarded(self.remove), methods=["DELETE"]),
            Route("/picture/{role}", self.guarded(self.choose), methods=["POST"]),
            Route("/example/{role}/{name}", self.guarded(self.example), methods=["PUT"]),
            Route("/explanation", self.guarded(self.explain), methods=["POST"]),
            Route("/explanation", self.guarded(self.stop), methods=["DELETE"]),
            Route("/painted", self.guarded(self.paint), methods=["POST"]),
            Route("/viewer", self.guarded(self.viewer)),
            Route("/lines", self.guarded(self.lines)),
            Route("/file/{ending}", self.guarded(self.file)),
        ]
        guards = [Middleware(TrustedHostMiddleware, allowed_hosts=[*hosts], www_redirect=False)]
        return Starlette(routes=routes, middleware=guards, lifespan=self._lifespan)

    @asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        async def sweep() -> None:
            while True:
                await asyncio.sleep(min(SWEEP, self.service.limits.silence / 4))
                await run_in_threadpool(self.service.visitors.sweep)

        sweeping = asyncio.create_task(sweep())
        yield
        sweeping.cancel()
        self._quick.shutdown(wait=True)
        self._drawing.shutdown(wait=True)

    # -- Doors --

    def static(self, content: Callable[[], str], kind: str) -> Callable[[Request], Awaitable[Response]]:
        """The page, its style or its script."""

        async def answer(request: Request) -> Response:
            return Response(content(), media_type=kind, headers=page.headers())

        return answer

    async def nothing(self, request: Request) -> Response:
        """No icon."""
        return Response(status_code=204, headers=page.headers())

    def guarded(self, answer: Answer, *, known: bool = True) -> Callable[[Request], Awaitable[Response]]:
        """The answer for a visitor whose secret is right; whatever is raised becomes words."""

        async def door(request: Request) -> Response:
            try:
                secret = request.headers.get(SECRET)
                if secret is None:
                    raise Refusal(403, f"the header {SECRET} is missing: this address is for the page only")
                visitor = self.service.visitors.known(secret) if known else None
                response = await answer(request, visitor)  # type: ignore[arg-type]
            except ClientDisconnect:
                response = Response(status_code=400)
            except Exception as error:
                status = error.status if isinstance(error, Refusal) else 422
                response = JSONResponse({"words": self.service.words(error)}, status)
            response.headers.update(page.headers())
            return response

        return door

    async def _in_thread(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._quick, lambda: function(*arguments))

    async def _drawn(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._drawing, lambda: function(*arguments))

    # -- Answers --

    async def welcome(self, request: Request, visitor: Visitor) -> Response:
        """A new visitor: its secret, and what it may choose."""
        return JSONResponse({"visitor": self.service.visitors.welcome(), **self.service.choices()})

    async def alive(self, request: Request, visitor: Visitor) -> Response:
        """A sign of life."""
        return JSONResponse({})

    async def leave(self, request: Request, visitor: Visitor) -> Response:
        """The page was closed."""
        await run_in_threadpool(self.service.visitors.leave, request.headers[SECRET])
        return JSONResponse({})

    async def upload(self, request: Request, visitor: Visitor) -> Response:
        """A file, which is read at once."""
        role, limit = _role(request), self.service.limits.upload
        words = f"the file is larger than the {limit:,} bytes that are read here"
        if int(request.headers.get("content-length") or 0) > limit:
            raise Refusal(413, words)
        path = visitor.room_for(unquote(request.headers.get("x-name", "picture")))
        size = 0
        try:
            with path.open("wb") as file:
                async for chunk in request.stream():
                    size += len(chunk)
                    if size > limit:
                        raise Refusal(413, words)
                    file.write(chunk)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return JSONResponse(await self._in_thread(self.service.look_at, visitor, role, path))

    async def choose(self, request: Request, visitor: Visitor) -> Response:
        """Another frame, slice or window of the file that is there."""
        role, choice = _role(request), str((await _form(request)).get("choice") or "")
        return JSONResponse(await self._in_thread(self.service.choose, visitor, role, choice.strip().lstrip("#")))

    async def example(self, request: Request, visitor: Visitor) -> Response:
        """One of the examples as picture."""
        name = request.path_params["name"]
        return JSONResponse(await self._in_thread(self.service.take_example, visitor, _role(request), name))

    async def remove(self, request: Request, visitor: Visitor) -> Response:
        """A picture is taken back."""
        visitor.take(_role(request), None)
        return JSONResponse({})

    async def explain(self, request: Request, visitor: Visitor) -> Response:
        """The events of an explanation, one line of JSON each, until it is over; if nobody listens, it stops."""
        form = await _form(request)
        loop, events = asyncio.get_running_loop(), asyncio.Queue[dict[str, Any]]()
        job = self.service.start(visitor, form, lambda event: _put(loop, events, event))

        async def stream() -> AsyncIterator[str]:
            try:
                while True:
                    event = await events.get()
                    yield json.dumps(event) + "\n"
                    if event["kind"] in ("done", "failed", "stopped"):
                        return
            finally:
                job.stop()

        return StreamingResponse(stream(), media_type="application/x-ndjson")

    async def stop(self, request: Request, visitor: Visitor) -> Response:
        """The explanation ends, and keeps what there is."""
        if visitor.job is not None:
            await run_in_threadpool(visitor.job.stop)
        return JSONResponse({})

    async def paint(self, request: Request, visitor: Visitor) -> Response:
        """How similar the painted picture is."""
        body = await _form(request)
        form, layer = (part if isinstance(part := body.get(name), dict) else {} for name in ("form", "layer"))
        return JSONResponse(await self._in_thread(self.service.paint, visitor, form, layer))

    async def viewer(self, request: Request, visitor: Visitor) -> Response:
        """The interactive viewer, for a frame without an address."""
        return Response(await self._drawn(self.service.viewer, visitor), media_type="text/plain")

    async def lines(self, request: Request, visitor: Visitor) -> Response:
        """What makes the result again."""
        return JSONResponse(self.service.lines(visitor))

    async def file(self, request: Request, visitor: Visitor) -> Response:
        """A file of the result."""
        name, content = await self._drawn(self.service.file, visitor, request.path_params["ending"])
        return Response(content, media_type="application/octet-stream", headers={"X-Name": quote(name)})


def _role(request: Request) -> str:
    role = str(request.path_params["role"])
    if role not in ROLES:
        raise Refusal(404, f"a picture is {', '.join(ROLES)}; got {role!r}")
    return role


async def _form(request: Request) -> Mapping[str, Any]:
    """The JSON object of a request."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_FORM:
            raise Refusal(413, "the form is too large")
    try:
        form = json.loads(body)
    except ValueError:
        raise Refusal(400, "the form is no JSON") from None
    if not isinstance(form, dict):
        raise Refusal(400, "the form must be an object")
    return form


def _put(loop: asyncio.AbstractEventLoop, events: asyncio.Queue[dict[str, Any]], event: dict[str, Any]) -> None:
    """Hand an event over from another thread; after the end of the server nobody needs it."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(events.put_nowait, event)
