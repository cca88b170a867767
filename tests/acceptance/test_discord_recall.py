"""A whole bot on Discord, asked what was said."""

from pathlib import Path

from tests.acceptance.discord_process import WAIT_S, world


async def test_what_was_said_is_found_after_a_restart(tmp_path: Path) -> None:
    async with world(tmp_path) as made:
        await made.start()
        asked = made.ask("the login page is blue")
        await made.answered(asked)
        assert await made.stop(made.running[0]) == 0
        await made.start()
        token = made.discord.slash(made.ann, made.channel, "recall", {"words": "login"})
        await made.discord.wait(lambda: made.discord.answer(token), WAIT_S)
        assert "the **login** page is blue" in made.discord.answer(token)
        assert "[open](https://discord.com/channels/" in made.discord.answer(token)
