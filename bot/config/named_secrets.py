"""Secrets that the config mentions by name alone. They are looked up for every use, so that a new one holds at once."""

import stat
from collections.abc import Mapping
from pathlib import Path


class NamedSecrets:
    """Where a secret may stand, strongest first: the environment, systemd's credentials, `.env` beside the config."""

    def __init__(self, folder: Path = Path(), environ: Mapping[str, str] | None = None) -> None:
        self._folder = folder
        self._environ = environ or {}

    def __call__(self, name: str) -> str:
        """The secret, "" where there is none. A `.env` that every account can read is not read."""
        found = self._environ.get(name) or self._credential(name) or self._dotenv(name)
        return found.strip()

    def _credential(self, name: str) -> str:
        folder = self._environ.get("CREDENTIALS_DIRECTORY", "")
        for each in (name, name.lower()) if folder else ():
            try:
                return Path(folder, each).read_text("utf-8")
            except (OSError, UnicodeDecodeError):
                continue
        return ""

    def _dotenv(self, name: str) -> str:
        path = self._folder / ".env"
        try:
            if path.stat().st_mode & stat.S_IROTH:
                return ""
            from dotenv import dotenv_values

            return dotenv_values(path, interpolate=False).get(name) or ""
        except (OSError, UnicodeDecodeError):
            return ""
