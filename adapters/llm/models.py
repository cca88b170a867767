"""What is configured of each model."""

from dataclasses import dataclass, field

from bot.domain import ModelCard, Prompt

from .tokens import count

OPENAI_URL = "https://api.openai.com/v1"
USUAL_ANSWER_TOKENS = 4096
USUAL_ANSWER_SHARE = 4
"""Where nothing is set, an answer is kept a quarter of the context free at most."""
MESSAGE_TOKENS = 4
"""What a message costs besides its text."""
PICTURE_TOKENS = 1000
"""What a picture costs: about that of a large one at OpenAI."""


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """One model that people can choose, as settings describe it."""

    name: str
    """What people type."""
    model: str = ""
    """What its server calls it; "" for the same as `name`."""
    base_url: str = OPENAI_URL
    api_key: str | None = field(default=None, repr=False)
    """The key itself; None for a server that asks for none."""
    context_tokens: int = 128_000
    answer_tokens: int | None = None
    """The most an answer may have, which the server is told. None: it decides, and a share is kept free."""
    temperature: float | None = None
    """None: the server's own."""
    timeout_s: float = 60.0
    """The longest time without a byte from the server."""
    prompt_price: float = 0.0
    """For a million tokens, in whatever currency the operator thinks in."""
    completion_price: float = 0.0
    sees: bool = False
    """Takes pictures."""
    tools: bool = True
    """Its server lets it call tools. Where that turns out wrong, it is asked without them."""

    @property
    def id(self) -> str:
        """What its server calls it."""
        return self.model or self.name

    @property
    def card(self) -> ModelCard:
        """What the core must know of it."""
        share = min(USUAL_ANSWER_TOKENS, self.context_tokens // USUAL_ANSWER_SHARE)
        return ModelCard(
            self.name, self.context_tokens, self.answer_tokens or share, self.sees, tools=self.tools
        )

    def fits(self, prompt: Prompt) -> bool:
        """A prompt that was written for another model fits this one too, as far as can be told."""
        texts = sum(count(said.text) + MESSAGE_TOKENS for said in prompt.messages)
        pictures = sum(len(said.pictures) for said in prompt.messages) if self.sees else 0
        card = self.card
        return texts + pictures * PICTURE_TOKENS + card.answer_tokens <= card.context_tokens
