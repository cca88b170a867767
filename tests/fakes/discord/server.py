"""The fake Discord as a server: REST, gateway, files and a control endpoint on one port."""

import json
from typing import Any, Self

from aiohttp import web

from tests.fakes.discord.gateway import Gateway
from tests.fakes.discord.limits import Limits
from tests.fakes.discord.rest import Rest
from tests.fakes.discord.world import Payload, World

TOKEN = "MTAwMDAw.fake.token-of-the-fake-discord"


class FakeDiscord(World):
    """`async with FakeDiscord() as fake:` listens on 127.0.0.1; `fake.api_url` is `discord.api_url`.

    Rules that a client breaks (lengths, pings, foreign edits, late answers, op codes) are collected
    in `violations`; 429s in `limits.hits`; rights that were needed in `used_permissions`.
    """

    def __init__(self, port: int = 0, pace: float = 20.0) -> None:
        self.gateway = Gateway(self, TOKEN)
        super().__init__(self.gateway.dispatch)
        self.limits = Limits(pace)
        self.rest = Rest(self, self.gateway, self.limits, TOKEN)
        self.token = TOKEN
        self._port = port
        self._runner: web.AppRunner | None = None

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self._port}/api/v10"

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=32 * 1024 * 1024)
        app.add_routes(self.rest.routes())
        app.add_routes([web.get(path, self.gateway.connect) for path in ("/gateway", "/gateway/")])
        app.add_routes([web.post("/_control", self._control)])
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        self._port = self._runner.addresses[0][1]
        self.gateway.url = f"ws://127.0.0.1:{self._port}/gateway/"
        self.files_base = f"http://127.0.0.1:{self._port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        self.gateway.closing = True
        self.rest.release()
        await self.gateway.drop(1001)
        await self._runner.cleanup()

    async def _control(self, request: web.Request) -> web.Response:
        """`{"call": "say", "args": {...}}`: whatever tests do in process, from another one."""
        body = await request.json()
        target: Any = self
        *path, name = body["call"].split(".")
        for step in path:
            target = getattr(target, step)
        found = getattr(target, name)
        if callable(found):
            found = found(**body.get("args", {}))
            if hasattr(found, "__await__"):
                found = await found
        elif "set" in body:
            setattr(target, name, body["set"])
            found = body["set"]
        return web.json_response({"result": found}, dumps=lambda o: json.dumps(o, default=_plain))

    def told(self, token: str) -> Payload:
        """What became of an interaction: the response, and what the person sees."""
        interaction = self.interactions[token]
        return {"response": interaction.response, "text": self.answer(token)}


def _plain(value: Any) -> Any:
    return sorted(value) if isinstance(value, set) else str(value)
