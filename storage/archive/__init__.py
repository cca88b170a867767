"""SQL: sessions, messages, turns. Each module is one noun; `Database` runs their work."""
