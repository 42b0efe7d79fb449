"""What the configurations of all recipes have, and how the common options change them."""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from mammo_tf.config import apply_overrides, check_choice, check_range
from mammo_tf.found import data_sets
from mammo_tf.phantom.config import PhantomConfig
from mammo_tf.training.folds import SplitConfig


@dataclass(frozen=True, kw_only=True)
class RecipeConfig:
    """Base of the recipes' configurations: everything that decides the numbers of a run.

    Attributes:
        dataset: A data set's name, see `mammo-tf data list`.
        variant: Which variant of the data set; None for its first.
        phantom: The synthetic set to make first; None for real files.
        split: How examples are divided.
        seed: Seed of all that is drawn.

    Raises:
        UserError: If a value is out of its range.
    """

    dataset: str
    variant: str | None = None
    phantom: PhantomConfig | None = None
    split: SplitConfig = field(default_factory=SplitConfig)
    seed: int = 1

    def __post_init__(self):
        check_choice("dataset", self.dataset, tuple(data_sets()))
        check_range("seed", self.seed, 0, 2**31 - 1)

    def with_options(
        self,
        *,
        dataset: str | None = None,
        variant: str | None = None,
        phantom: bool | None = None,
        folds: int | str | None = None,
        seed: int | None = None,
        overrides: tuple[str, ...] = (),
        changes: Mapping[str, Any] | None = None,
    ) -> Self:
        """Returns a copy changed as the options of `recipe_options` say; None changes nothing.

        Args:
            dataset: A data set's name.
            variant: One of its variants.
            phantom: True to make a synthetic set first.
            folds: Number of folds, or "official".
            seed: Seed.
            overrides: "section.key=value" assignments; they come last.
            changes: Further fields of the configuration.

        Raises:
            UserError: If a value is out of its range, or a key unknown.
        """
        values = {
            "dataset": dataset,
            "variant": variant,
            "phantom": PhantomConfig() if phantom and self.phantom is None else None,
            "split": self.split.with_folds(folds),
            "seed": seed,
            **(changes or {}),
        }
        values = {name: value for name, value in values.items() if value is not None}
        return apply_overrides(dataclasses.replace(self, **values), overrides)

    @property
    def augment_cratios(self) -> tuple[float, ...]:
        """The compression ratios that any augmentation of this configuration draws from."""
        return tuple(sorted(set(_augment_cratios(self))))


def _augment_cratios(config: Any) -> Iterator[float]:
    for entry in dataclasses.fields(config):
        value = getattr(config, entry.name)
        if entry.name == "augment":
            yield from value.cratios
        elif dataclasses.is_dataclass(value):
            yield from _augment_cratios(value)
