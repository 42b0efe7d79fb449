"""Splits train, validation and test: one patient in one split, each class spread over all."""

import hashlib
from collections.abc import Mapping

from mammo_tf.errors import DataError

SHARES = {"train": 0.7, "validation": 0.1, "test": 0.2}


def assign_splits(strata: Mapping[str, int]) -> dict[str, str]:
    """Assigns every patient to a split, 70/10/20 (the paper's 7:1:2), stratified.

    Patients are ordered by stratum, rarest first, and then by a hash of their id; each goes to
    the split that is furthest below its share. So every stratum and the whole keep the shares to
    within one patient or two, and nothing depends on the order of the rows, on a seed or on the
    salt that hides the ids in the records.

    Args:
        strata: Maps a patient's id to the stratum, e.g. the worst finding as a number.

    Returns:
        Maps a patient's id to "train", "validation" or "test". No split is empty.

    Raises:
        DataError: If there are fewer than three patients.

    Reference:
        Jo et al. 2021, Methods, for the shares.

    Examples:
        >>> sorted(set(assign_splits({"a": 0, "b": 0, "c": 1}).values()))
        ['test', 'train', 'validation']
    """
    if len(strata) < len(SHARES):
        raise DataError(
            f"Three splits need at least {len(SHARES)} patients with usable studies. "
            f"Received: {len(strata)}. Add studies."
        )
    sizes = dict.fromkeys(SHARES, 0)
    splits = {}
    for position, patient in enumerate(_ordered(strata), start=1):
        split = max(SHARES, key=lambda name: (SHARES[name] * position - sizes[name], -sizes[name]))
        splits[patient] = split
        sizes[split] += 1
    _fill_empty(splits, sizes)
    return splits


def _ordered(strata: Mapping[str, int]) -> list[str]:
    count = {}
    for stratum in strata.values():
        count[stratum] = count.get(stratum, 0) + 1

    def key(patient: str):
        digest = hashlib.sha256(f"mammo_tf split {patient}".encode()).digest()
        return count[strata[patient]], strata[patient], digest

    return sorted(strata, key=key)


def _fill_empty(splits: dict[str, str], sizes: dict[str, int]) -> None:
    for name in SHARES:
        if sizes[name] == 0:
            largest = max(sizes, key=sizes.get)
            patient = [p for p in splits if splits[p] == largest][-1]
            splits[patient] = name
            sizes[largest] -= 1
            sizes[name] += 1
