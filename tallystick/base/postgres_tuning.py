"""The settings of the embedded server: durable, private, small, and fast enough on a small machine."""

import os
from pathlib import Path

MIB = 1024 * 1024


def settings(memory: int) -> dict[str, str]:
    """All settings that do not depend on the directory, for a machine with `memory` bytes."""
    return {**DURABLE, **PRIVATE, **LOGS, **WORK, **_sizes(memory)}


def memory() -> int:
    """Bytes this process may use: the machine's, or less where a control group says so; 1 GiB where nobody knows."""
    try:
        known = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    except (ValueError, OSError):
        known = [1024 * MIB]
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            limit = Path(path).read_text(encoding="ascii").strip()
        except OSError:
            continue
        if limit.isdigit():
            known.append(int(limit))
    return min(known)


# The defaults of PostgreSQL, said aloud: what is acknowledged is kept.
DURABLE = {
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "restart_after_crash": "on",
}

PRIVATE = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "ssl": "off",
}

# No value a caller sends may reach a log. `terse` leaves out DETAIL ("Key (phone)=(…) already exists", "Failed process
# was running: …"); the level `log` leaves out ERROR, whose first line may quote a value ("invalid input syntax for …").
LOGS = {
    "logging_collector": "on",
    "log_directory": "log",
    "log_filename": "postgres-%a.log",
    "log_rotation_age": "1d",
    "log_rotation_size": "0",
    "log_truncate_on_rotation": "on",
    "log_timezone": "UTC",
    "log_min_messages": "log",
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "log_statement": "none",
    "log_min_duration_statement": "-1",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
}

WORK = {
    "timezone": "UTC",
    "max_connections": "100",
    "jit": "off",  # plans here are short; compiling them costs more than it saves
    "random_page_cost": "1.1",
    # A stopped client must not hold a lock that others wait for.
    "idle_in_transaction_session_timeout": "10s",
    # No plan here depends on fresh statistics, so young tables need not be read again and again while they grow.
    "autovacuum_naptime": "30s",
    "autovacuum_vacuum_scale_factor": "0.1",
    "autovacuum_analyze_scale_factor": "0.2",
    # Enough log that a busy minute does not force a checkpoint, and little enough that recovery takes seconds. Compressing
    # page images costs more of the processor than the bytes are worth on a disk of one's own.
    "min_wal_size": "512MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "5min",
    "checkpoint_completion_target": "0.9",
}


def _sizes(memory: int) -> dict[str, str]:
    shared = min(max(memory // 8, 64 * MIB), 1024 * MIB)
    return {
        "shared_buffers": f"{shared // MIB}MB",
        "effective_cache_size": f"{max(memory // 2, shared) // MIB}MB",
        "maintenance_work_mem": f"{min(max(memory // 64, 32 * MIB), 256 * MIB) // MIB}MB",
        "work_mem": "8MB",
    }
