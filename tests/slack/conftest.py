"""A workspace with the app of our own manifest in it."""

from collections.abc import AsyncIterator

import pytest

from adapters.slack.manifest import manifest
from tests.platforms.slack.manifest import install
from tests.platforms.slack.server import Site, SlackServer
from tests.slack.desk import Desk
from tests.slack.rig import Rig


@pytest.fixture
async def server() -> AsyncIterator[SlackServer]:
    async with SlackServer(retries_s=(0.0, 0.3, 60.0)) as started:
        yield started


@pytest.fixture
def site(server: SlackServer) -> Site:
    return server.add_workspace("acme")


@pytest.fixture(params=["socket", "http"])
async def rig(server: SlackServer, site: Site, request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    made = Rig(server, site, request.param)
    assert install(site, manifest(made.settings, "http://127.0.0.1/webhooks/slack")) == []
    await made.start()
    yield made
    await made.stop()
    assert site.space.ledger.violations == []


@pytest.fixture
async def socket(server: SlackServer, site: Site) -> AsyncIterator[Rig]:
    made = Rig(server, site)
    assert install(site, manifest(made.settings, "")) == []
    yield made
    await made.stop()
    assert site.space.ledger.violations == []


@pytest.fixture(params=["socket", "http"])
async def desk(server: SlackServer, site: Site, request: pytest.FixtureRequest) -> AsyncIterator[Desk]:
    made = Desk(server, site, request.param)
    assert install(site, manifest(made.settings, "http://127.0.0.1/webhooks/slack")) == []
    await made.start()
    yield made
    await made.stop()
    assert site.space.ledger.violations == []
