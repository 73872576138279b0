"""Platforms of our own, over loopback: what each real one documents, with its limits, deadlines and faults, and a ledger of what a person
would see. `kit` says what a platform must offer so that the one suite for all adapters can run against it."""
