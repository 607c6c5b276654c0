"""Signing in: local accounts, sessions, and an organisation's own identity provider."""
