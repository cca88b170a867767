"""What `threadfly run` says on the terminal once it is ready. No I/O."""

from collections.abc import Sequence


def greeting(url: str, platforms: Sequence[str], playground: bool, offline: str) -> str:
    """A few lines that say where to go now.

    `platforms` are those beside the playground; `offline` is `llm.model` if that means no server.
    """
    lines = [f"Threadfly is ready{': ' + ', '.join(platforms) if platforms else ''}."]
    if playground:
        lines.append(f"Open {url} in a browser and mention @threadfly.")
    else:
        lines.append(f"How it is: {url}/readyz")
    if not platforms:
        lines.append("No Slack or Discord tokens are set, so this is the playground (see .env.example).")
    if offline == "offline":
        lines.append("The offline model answers, as llm.model says.")
    elif offline:
        wanted = "No model" if offline == "auto" else f"llm.model is {offline}, but no key or address"
        lines.append(f"{wanted} is set, so the offline one answers: set OPENAI_API_KEY or OPENAI_BASE_URL.")
    return "\n".join(lines)
