"""Memory of the machine."""

from __future__ import annotations

import os
from pathlib import Path

import torch


def machine_memory(device: torch.device) -> tuple[int, int]:
    """Total and free bytes of the memory on which ``device`` computes."""
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        return total, free
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return total, _available(total)


def _available(total: int) -> int:
    """Bytes available without swapping, including page cache; all of it if unknown."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return total
    found = [int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    return 1024 * found[0] if found else total
