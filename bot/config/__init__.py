"""The config: one typed `config.toml`, with secrets from the environment, `.env` or systemd credentials.

`load` gives a `Config` or one `ConfigError` with every problem at once, each with its line and its mend. It has no state, so
that a running process can call it again and keep the old config when the new one has problems.
"""

from bot.config.load import Config, changed_keys, data_folder, load
from bot.config.settings import documented_keys, find_settings, installed_channels

__all__ = ["Config", "changed_keys", "data_folder", "documented_keys", "find_settings", "installed_channels", "load"]
