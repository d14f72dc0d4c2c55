"""Where a host writes its log lines; of several in one process each has a logger of its own, which names it."""

from typing import Any

import structlog

Log = Any
"""A logger of structlog, whose types are those of whoever configures it."""

LOG: Log = structlog.get_logger("crdt_sync.hosting")
