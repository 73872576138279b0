"""The worker under the shim, once for all tests."""

from collections.abc import Iterator

import pytest

from tests.faults.shim import Worker, build


@pytest.fixture(scope="session")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    worker = Worker(build(tmp_path_factory.mktemp("shim")))
    yield worker
    worker.close()
