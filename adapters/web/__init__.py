"""The web playground: a small team chat of our own, and the bot as a guest in it.

Two halves, kept apart as they are elsewhere. The chat server (`room.py` on `ledger.py`, seen by
people through `server.py` and `static/`) knows nothing of the bot's core. The adapter
(`platform.py`) meets it the way the other adapters meet Slack and Discord.
"""
