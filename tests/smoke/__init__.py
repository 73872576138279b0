"""Against a real model. Opt-in."""
