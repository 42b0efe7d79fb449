"""The experiments: which networks each trains, and at which ratios it tests them. No heavy import.

Paper: Jo et al. 2021. Table 1 is "single", Table 2 "cross", Fig. 4 "mixture". The others are not in
the paper: they are the ways in which compression reaches a hospital.

Of the mixtures the paper states that M-CR1to15 learns from "both the original, uncompressed data
and the same data compressed with CR 15", that M-CR1toCR11K learns from ratios between 1 and 11K,
and that each is tested at every single ratio. Not stated: whether all ratios between the two ends
take part (here they do), how many passes there are (here as many as for one ratio, so k times the
steps), the ratios of the validation images (here those of training), and the numbers: Fig. 4 is
drawn, not printed.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

Cratios = tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """What an experiment trains and tests.

    Attributes:
        text: One line for a reader.
        tests_of: Maps the run's ratios to {ratios trained on: ratios tested at}, the reference
            first.
        beside_same_test: Whether a row is compared with the first network at the same test ratio;
            else with the first row.
        draws: Whether each training image is shown at one of the ratios, drawn anew in each pass,
            instead of once at each.
    """

    text: str
    tests_of: Callable[[Cratios], Mapping[Cratios, Cratios]]
    beside_same_test: bool = False
    draws: bool = False

    def reference_of(self, train_crs: Cratios, test_cr: float, cratios: Cratios):
        """Returns the (train_crs, test_cr) that a row is compared with."""
        first = next(iter(self.tests_of(cratios)))
        return first, (test_cr if self.beside_same_test else self.tests_of(cratios)[first][0])


def references(experiment: str, keys: Iterable, cratios: Cratios) -> dict:
    """Maps each (train_crs, test_cr) to what it is compared with; {} for the first of them."""
    if experiment not in EXPERIMENTS:
        return {}
    return {key: EXPERIMENTS[experiment].reference_of(*key, cratios) for key in keys}


EXPERIMENTS = {
    "single": Experiment(
        text="train and test at one CR (Table 1)",
        tests_of=lambda crs: {(cr,): (cr,) for cr in crs},
    ),
    "cross": Experiment(
        text="each of those networks at every CR (Table 2)",
        tests_of=lambda crs: {(cr,): crs for cr in crs},
    ),
    "test_only": Experiment(
        text="trained at the first CR, tested at each: an old model meets compressed images",
        tests_of=lambda crs: {crs[:1]: crs},
    ),
    "training_only": Experiment(
        text="trained at each CR, tested at the first: a compressed archive trains a new model",
        tests_of=lambda crs: {(cr,): crs[:1] for cr in crs},
    ),
    "mixture": Experiment(
        text="trained on the union of the first 2, 3, … CRs, tested at every CR (Fig. 4)",
        tests_of=lambda crs: {crs[: k + 1]: crs for k in range(len(crs))},
        beside_same_test=True,
    ),
    "augmented": Experiment(
        text="each training image at a random CR in each pass, tested at every CR",
        tests_of=lambda crs: {crs: crs},
        draws=True,
    ),
}
