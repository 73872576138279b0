"""Passing a conversation between the agent and people: the state machine, who is asked, timers, and the operators' commands."""
