"""The models: OpenAI-compatible servers through langchain-openai, and one that needs no network.

`roster.py` is the door. What is heavy to import (`chat.py`, `transport.py`, `vendor.py`) is imported by
`Roster.warm` in a worker thread, and by nothing else.
"""
