"""The HTTP listeners, over real sockets."""
