"""`frontdesk serve`: runs everything until it is stopped."""

import argparse
import gc
import os


def run(arguments: argparse.Namespace) -> int:
    # To look for plugins, pydantic reads what every installed package offers.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    gc.disable()  # nothing that is made while starting is garbage; `app` enables it again when it is ready
    from bot.app import serve

    return serve(arguments.config)
