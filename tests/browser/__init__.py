"""The widget and the demo page in a real browser."""
