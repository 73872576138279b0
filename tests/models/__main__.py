"""Runs a provider's server by itself: `python -m tests.models --provider anthropic --port 0 --chunks 20 --tokens 40` prints its port."""

import argparse
import asyncio
import importlib

from tests.models.wire import Counts, ModelServer, Reply

_CLASSES = {"anthropic": "AnthropicServer", "openai": "OpenAIServer"}
WORD = "word "  # of about one token


async def serve(provider: str, port: int, reply: Reply) -> None:
    module = importlib.import_module(f"tests.models.{provider}_server")
    server: ModelServer = getattr(module, _CLASSES[provider])(script=lambda _: reply)
    await server.start(port)
    print(server.port, flush=True)  # noqa: T201 - whoever started it reads the port here
    try:
        await asyncio.Event().wait()
    finally:
        await server.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.models")
    parser.add_argument("--provider", choices=sorted(_CLASSES), required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--chunks", type=int, default=20, help="pieces that an answer's text comes in")
    parser.add_argument("--tokens", type=int, default=40, help="words of an answer, and the output tokens it reports")
    options = parser.parse_args()
    text = (WORD * options.tokens).strip()
    reply = Reply(text=text, chunks=options.chunks, counts=Counts(output=options.tokens))
    asyncio.run(serve(options.provider, options.port, reply))


if __name__ == "__main__":
    main()
