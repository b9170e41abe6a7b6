"""Leases: who works on which task, and whether that owner is still alive.

An owner names its host, its process and when that process began, so that on one machine a dead
owner is known at once and its work is taken over without waiting; a process number that the
system gave to somebody else in the meantime does not count as alive. Owners on other machines
are trusted until their lease runs out.
"""

from __future__ import annotations

import os
import socket
import uuid
from pathlib import Path

__all__ = ["is_dead", "new_owner"]


def new_owner() -> str:
    """Return the name of a new owner in this process: host, process, its start, a random part."""
    pid = os.getpid()
    return f"{socket.gethostname()}:{pid}:{_started(pid)}:{uuid.uuid4().hex[:8]}"


def is_dead(owner: str) -> bool:
    """Say whether an owner is known to be dead; False when that cannot be known.

    >>> is_dead(new_owner())
    False
    >>> is_dead("another-host:1:0:abcd"), is_dead("somebody")
    (False, False)
    """
    host, _, rest = owner.rpartition(":")[0].partition(":")
    pid, _, started = rest.partition(":")
    if host != socket.gethostname() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return started != _started(int(pid))


def _started(pid: int) -> str:
    """Return the start of a process in the system's clock ticks, "" where that is not shown.

    A killed process whose parent has not asked for its end yet ("Z") has no start any more: in a
    container without an init process it would otherwise hold its work until the lease runs out.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    # The name in parentheses may hold spaces; the state and field 22 count from behind it.
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] == "Z" else fields[19]
