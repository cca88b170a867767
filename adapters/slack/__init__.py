"""Slack: everything that speaks its protocols."""
