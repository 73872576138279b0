"""The Slack adapter: its translation by itself, and the whole of it with Slack's own libraries against a server of the protocol."""
