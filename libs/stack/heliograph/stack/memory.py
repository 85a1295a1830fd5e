"""How much memory a stack takes."""

import asyncio

import psutil

PERIOD_S = 5.0


class Memory:
    """Watches the memory of this process and of all below it."""

    def __init__(self) -> None:
        self.resident = 0
        """Bytes at the worst moment, pages that processes share counted in each of them (RSS)."""
        self.proportional = 0
        """Bytes at the worst moment, shared pages counted once (PSS); 0 where the system does not tell."""

    async def watch(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            resident, proportional = await asyncio.to_thread(taken)
            self.resident = max(self.resident, resident)
            self.proportional = max(self.proportional, proportional)
            await asyncio.sleep(PERIOD_S)


def taken() -> tuple[int, int]:
    """Bytes that this process and all below it take now: resident and proportional."""
    this = psutil.Process()
    resident = proportional = 0
    for process in (this, *this.children(recursive=True)):
        try:
            resident += process.memory_info().rss
            proportional += getattr(process.memory_full_info(), "pss", 0)
        except psutil.Error:  # it has just ended, or is not ours to look into
            continue
    return resident, proportional
