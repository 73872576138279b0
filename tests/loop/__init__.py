"""The agent: its tools, its checks, its loop."""
