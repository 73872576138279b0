"""Does search find what answers? Figures over questions whose answers are known, and speed over many passages."""
