"""F107: no secret of a channel is in anything that is written down, shown or told, whatever goes wrong."""

import base64
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.platforms.bare import discord, slack, twilio
from tests.platforms.bare.base import Bare
from tests.platforms.bare.discord import BareDiscord
from tests.platforms.bare.slack import BareSlack
from tests.platforms.bare.twilio import BareTwilio
from tests.platforms.stage import Stage

CANARY = "canary"  # in every secret of the bare platforms
SECRETS = {
    "slack": (slack.BOT_TOKEN, slack.APP_TOKEN, slack.SIGNING_SECRET, slack.TICKET),
    "discord": (discord.TOKEN,),
    "whatsapp": (twilio.TOKEN, base64.b64encode(f"{twilio.SID}:{twilio.TOKEN}".encode()).decode()),
}
PUBLIC, PRIVATE = ("/readyz", "/healthz", "/"), ("/metrics",)
COMMANDS = (("channels",), ("outbox", "list"), ("status",), ("incidents",))
IN_TROUBLE = ("connecting", "stopped", "down")


class LoudStage(Stage):
    """Logs everything that there is to log."""

    def _write(self) -> None:
        super()._write()
        path = self.folder / "config.toml"
        config = path.read_text(encoding="utf-8")
        assert CANARY in config
        path.write_text(config.replace('"level" = "info"', '"level" = "debug"'), encoding="utf-8")


def written(stage: Stage) -> Iterator[tuple[str, bytes]]:
    """Every file of the run but the config, which holds the secrets."""
    for path in stage.folder.rglob("*"):
        if path.is_file() and path.name != "config.toml":
            yield str(path), path.read_bytes()


async def told(stage: Stage) -> Sequence[tuple[str, bytes]]:
    """What the listeners and the commands say."""
    pages = [(path, (await stage.get(path))[0].encode()) for path in PUBLIC]
    pages += [(path, (await stage.get(path, is_private=True))[0].encode()) for path in PRIVATE]
    return pages + [(" ".join(words), (await stage.command(*words)).encode()) for words in COMMANDS]


@pytest.mark.parametrize(
    "platform",
    [BareSlack("socket", below="/api"), BareSlack("http"), BareDiscord(), BareTwilio()],
    ids=["slack-socket", "slack-http", "discord", "whatsapp"],
)
async def test_f107_no_secret_of_a_channel_is_written_or_told(tmp_path: Path, platform: Bare) -> None:
    """Neither in good days nor when the platform refuses them, at work and at the next start."""
    stage = LoudStage(tmp_path, platform)
    try:
        await stage.start()
        mark = await stage.ask("Do bicycles have bells?")
        await stage.answer(mark)
        platform.refuse_token(True)
        await stage.ask("And lamps?")
        await stage.until(stage.channel_state, lambda state: state.startswith(IN_TROUBLE), what="it is in trouble")
        found = list(await told(stage))
        await stage.kill()
        await stage.launch(is_well=False)
        await stage.until(
            stage.channel_state, lambda state: state.startswith(IN_TROUBLE), what="it is in trouble again"
        )
        found += await told(stage)
    finally:
        await stage.stop()
    found += written(stage)
    assert '"level": "debug"' in stage.log()
    secrets = [secret.encode() for secret in SECRETS[platform.name]]
    leaks = [place for place, content in found for secret in secrets if secret in content]
    assert leaks == []
    assert [place for place, content in found if CANARY.encode() in content] == []
