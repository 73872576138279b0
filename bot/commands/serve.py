"""`frontdesk serve`: runs everything until it is stopped."""

import argparse


def run(arguments: argparse.Namespace) -> int:
    from bot.app import serve

    return serve(arguments.config)
