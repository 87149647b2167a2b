"""What memory the machine has."""

from __future__ import annotations

import os
from pathlib import Path

import torch


def machine_memory(device: torch.device) -> tuple[int, int]:
    """Total and free bytes of the memory that ``device`` computes in."""
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        return total, free
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return total, _available(total)


def _available(total: int) -> int:
    """Bytes that can be had without swapping, page cache included; all of it where not told."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return total
    found = [int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    return 1024 * found[0] if found else total
