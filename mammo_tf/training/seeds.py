"""Seeds that follow from a run's."""

import hashlib


def derive_seed(run_seed: int, *parts: str | float) -> int:
    """A seed below 2^32 that follows from the run's seed and a name, and from nothing else."""
    text = "/".join(map(str, (run_seed, *parts)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little")
