"""The people on our side: who they are, what they may do, and how they prove it."""
