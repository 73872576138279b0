"""The web channel for the suite of all adapters: pages that speak the chat socket."""
