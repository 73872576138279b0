"""The web channel, over real sockets, with a fake house at the port."""
