"""Discord, through discord.py: its gateway client, its rate limits, and no more of it than that."""
