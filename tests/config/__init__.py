"""The config's promises."""
