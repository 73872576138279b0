"""Frontdesk: a self-hosted support agent. `docs/architecture.md` is the map."""
