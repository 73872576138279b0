"""The path of one message: intake, turn, delivery."""
