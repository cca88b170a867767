"""`python -m tests.fakes.discord --port 0`: prints its API's address, and serves until it is ended."""

import argparse
import asyncio

from tests.fakes.discord.server import FakeDiscord


async def serve(port: int, pace: float) -> None:
    """Serve for ever."""
    async with FakeDiscord(port, pace) as fake:
        print(fake.api_url, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument(
        "--pace", type=float, default=20.0, help="how many times shorter the rate limits' windows are"
    )
    arguments = parser.parse_args()
    asyncio.run(serve(arguments.port, arguments.pace))
