"""Who may read a data directory besides its owner: a group (event_log.group), or nobody."""

from __future__ import annotations

import contextlib
import logging
import os
import stat
from pathlib import Path

from auditdeck.errors import StoreError
from auditdeck.eventlog.segment import EVENTS, PARQUET
from auditdeck.private_file import share_folder

GROUP_READS = stat.S_IRGRP | stat.S_IXGRP

logger = logging.getLogger("auditdeck")


def share_with(data_dir: Path, group: int | None) -> None:
    """What is there already and what will be: for this group (a number). Raises StoreError."""
    if group is None:
        # What an earlier run shared.
        with contextlib.suppress(OSError):
            os.chmod(data_dir / PARQUET, 0o700)
        return
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o750)
        os.chown(data_dir, -1, group)
        os.chmod(data_dir, stat.S_IMODE(data_dir.stat().st_mode) | GROUP_READS)
        for name in (EVENTS, PARQUET):
            share_folder(data_dir / name, group)
    except PermissionError as error:
        raise StoreError(
            f"cannot let group {group} read {error.filename}: {error.strerror}",
            "make the user that collects a member of event_log.group (systemd: SupplementaryGroups=)",
        ) from None
    except OSError as error:
        logger.error("who may read %s stays as it is: %s", data_dir, error)
