"""Which loggers of the vendors may quote what people said, or a key."""

import logging

VENDORS = (
    "openai",
    "httpx2",
    "httpcore2",
    "httpx",
    "httpcore",
    "langchain",
    "langchain_core",
    "langchain_openai",
    "langsmith",
)
"""At debug they log whole requests; at info each request; their warnings may quote what a server answered."""


def quiet_loggers() -> list[str]:
    """Keep the vendors of this package quiet below errors, whatever the root's level; returns their names."""
    for name in VENDORS:
        logging.getLogger(name).setLevel(logging.ERROR)
    return list(VENDORS)
