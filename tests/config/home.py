"""A folder with a config of one's own, and channels to configure in it."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, SecretStr, model_validator

from bot.config import Config, find_settings, load
from bot.errors import ConfigError, Problem

ROOT = Path(__file__).parents[2]
SECRET = "kq3-fA9_zR7tWm2LxVb8pYc5nDs1hGe4"


class Chat(BaseModel):
    """The settings of a channel that needs secrets to work."""

    model_config = ConfigDict(extra="forbid")

    enabled: bool = False
    quiet_ms: int = 800
    mode: str = "socket"
    bot_token: SecretStr
    app_token: SecretStr | None = None

    @model_validator(mode="after")
    def _socket_needs_a_token(self) -> "Chat":
        if self.mode == "socket" and self.app_token is None:
            raise ValueError("socket mode needs app_token. Set it, or use another mode")
        return self


def channels(name: str) -> type[BaseModel] | None:
    """The installed channels, and `chat`."""
    return Chat if name == "chat" else find_settings(name)


class Home:
    """Writes config files and reads them back."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "config.toml"
        self.file.write_text("")

    def load(self, text: str = "", environ: Mapping[str, str] | None = None) -> Config:
        self.file.write_text(text)
        return load(self.file, environ or {}, adapters=channels)

    def problems(self, text: str = "", environ: Mapping[str, str] | None = None) -> list[Problem]:
        """What is wrong with it; fails when nothing is."""
        try:
            self.load(text, environ)
        except ConfigError as error:
            return error.problems
        raise AssertionError("the config was accepted")

    def write_dotenv(self, text: str, mode: int = 0o600) -> Path:
        path = self.folder / ".env"
        path.write_text(text)
        path.chmod(mode)
        return path
