"""The ways in and out: listeners, and the control socket."""
