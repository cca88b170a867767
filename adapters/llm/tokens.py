"""How many tokens a text takes, near enough to keep a prompt within its budget, without any table."""

BYTES_PER_TOKEN = 4
"""English has about four characters to a token; Chinese, Japanese and Korean about one, of three bytes."""


def count(text: str) -> int:
    """Tokens of `text`, rounded up. What a message costs besides its text is the prompt's business."""
    length = len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))
    return -(-length // BYTES_PER_TOKEN)
