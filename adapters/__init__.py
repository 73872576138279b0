"""Channel adapters: each translates one platform and decides nothing."""
