"""The calls that go with every answer: straight through the shared session.

slack-sdk prepares each call for files, retries, deprecated methods and its own objects, and none of
these has any: with one timer for three, that is nearly a third of what a post costs us. What comes back,
and what is raised, are slack-sdk's own.
"""

from collections.abc import Mapping
from typing import Any, Final

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from adapters.jsons import dumps, loads

METHODS: Final = frozenset({"chat.postMessage", "chat.update"})
JSON: Final = "application/json;charset=utf-8"
TIMEOUT: Final = aiohttp.ClientTimeout(total=20, sock_connect=5)
"""One timer for the whole call; another for each time that the socket is silent would not end it sooner."""


async def call(web: AsyncWebClient, method: str, arguments: Mapping[str, Any]) -> AsyncSlackResponse:
    """One of `METHODS`, with its arguments as JSON. Raises as `AsyncWebClient.api_call` does.

    What is None is left out, as slack-sdk does: a null is no argument that Slack documents.
    """
    session = web.session
    assert session is not None, "one is shared"
    headers = {**web.headers, "Authorization": f"Bearer {web.token}", "Content-Type": JSON}
    given = {name: value for name, value in arguments.items() if value is not None}
    body, url = dumps(given).encode(), web.base_url + method
    async with session.post(url, data=body, headers=headers, proxy=web.proxy, timeout=TIMEOUT) as answer:
        said = _said(await answer.read())
    response = AsyncSlackResponse(
        client=web,
        http_verb="POST",
        api_url=url,
        req_args={},
        data=said,
        headers=answer.headers,  # type: ignore[arg-type]  # as slack-sdk itself gives them
        status_code=answer.status,
    )
    return response.validate()  # type: ignore[no-any-return,no-untyped-call]


def _said(body: bytes) -> dict[str, Any]:
    """Nothing for what is no object: the status has to tell then."""
    try:
        said = loads(body)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
