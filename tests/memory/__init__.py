"""What is remembered of users, over the real core."""
