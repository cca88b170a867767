"""A Slack of our own: Web API, Socket Mode and HTTP delivery over real sockets, strict about the rules.

`FakeSlack` is Slack and its people at once: `say`, `edit`, `press` are what people do, the server
is what the bot talks to. What the bot does against the rules is collected in `violations`.
"""

from tests.fakes.slack.server import FakeSlack

__all__ = ["FakeSlack"]
