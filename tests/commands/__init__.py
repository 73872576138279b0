"""The command line's promises."""
