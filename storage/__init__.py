"""Where what was said is kept: hot context in Dragonfly, the archive in SQL."""
