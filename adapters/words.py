"""The few sentences that a reply says by itself, whatever the platform."""

REST_NAME = "answer.md"
"""The file that carries what no longer fits into posts."""
REST_IS_COMING = f"This gets long: the rest will come as a file, {REST_NAME}."
REST_IS_ATTACHED = f"The rest is in the file {REST_NAME}."

NOTHING_TO_SAY = "I have no words for this one. Could you ask it in another way?"
NOTHING_SAID_YET = "I was stopped before I had said anything. Mention me when you want me to go on."
NO_ANSWER = "Something went wrong before I could answer. Please try again in a moment."
