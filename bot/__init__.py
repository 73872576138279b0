"""Frontdesk: a self-hosted support agent. `docs/architecture.md` is the map."""

__version__ = "0.1.0"
