"""Files that are replaced whole: whenever the process or the power ends, a file is the old one or the new one."""

import os
import stat
from pathlib import Path


def replace_whole(path: Path, data: bytes) -> None:
    """Puts `data` in place of what stood there, with its rights; until then it has a hidden name, and nobody may read it who may not read
    the file. Raises OSError, with the file as it was. Blocking."""
    rights = stat.S_IMODE(path.stat().st_mode) if path.exists() else None
    draft = path.with_name(f".draft-{path.name}")
    draft.unlink(missing_ok=True)
    try:
        made = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666 if rights is None else 0o600)
        with open(made, "wb") as file:
            file.write(data)
            file.flush()
            if rights is not None:
                os.fchmod(made, rights)
            os.fsync(made)
        os.replace(draft, path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
