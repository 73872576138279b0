"""What the house says about itself: logs and metrics."""
