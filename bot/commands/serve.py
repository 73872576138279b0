"""`frontdesk serve`: runs everything until it is stopped."""

import argparse
import gc


def run(arguments: argparse.Namespace) -> int:
    gc.disable()  # nothing that is made while starting is garbage; `app` enables it again when it is ready
    from bot.app import serve

    return serve(arguments.config)
