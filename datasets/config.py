"""Builder configurations: which compression ratios a data set keeps, or plain images."""

import dataclasses
from collections.abc import Mapping
from typing import ClassVar

import tensorflow_datasets as tfds

from mammo_tf.codecs.cratios import format_cratio, join_cratios, normalize_cratios
from mammo_tf.config import check_choice
from mammo_tf.errors import UserError

PLAIN_NAME = "plain"
LADDER_NAME = "ladder"


@dataclasses.dataclass(eq=False, kw_only=True)
class LadderConfig(tfds.core.BuilderConfig):
    """What the records hold: a JPEG 2000 ladder of some compression ratios, or a plain image.

    The name follows from the other arguments, so that one name always means one content:
    "ladder" for the data set's own ratios, "plain", and for other ratios e.g.
    "ladder_1_100_1000". A data set that comes in several variants puts their name in front:
    "mass" for the variant's own ratios, "mass_plain", "mass_ladder_1_100_1000".

    Args:
        cratios: Compression ratios of the ladder, each at least 1 (1 is lossless); None means
            the variant's own, see `VARIANTS`. Kept sorted.
        plain: True stores a lossless PNG that TFDS decodes itself, and no ladder.
        variant: A key of `VARIANTS`; None means the first.
        name: Leave it out; a name that does not follow from the arguments is refused.

    Raises:
        UserError: If a ratio is not a finite number of at least 1, is there twice, or is given
            together with `plain`, or if there is no such variant.

    Examples:
        >>> LadderConfig(cratios=(1, 100)).name
        'ladder_1_100'
    """

    # The data set's variants, and the ratios that each keeps unless told otherwise.
    VARIANTS: ClassVar[Mapping[str, tuple[float, ...]]] = {"": (1,)}

    name: str = ""
    cratios: tuple[float, ...] | None = None
    plain: bool = False
    variant: str | None = None

    def __post_init__(self):
        if self.variant is None:
            self.variant = next(iter(self.VARIANTS))
        check_choice("variant", self.variant, tuple(self.VARIANTS))
        if self.plain and self.cratios:
            raise UserError(
                "`cratios` belongs to a ladder, and `plain` has none. Received both; give one."
            )
        cratios = self.VARIANTS[self.variant] if self.cratios is None else self.cratios
        self.cratios = () if self.plain else normalize_cratios(cratios)
        name = self._derived_name()
        if self.name not in ("", name):
            raise UserError(
                f"The name of a configuration follows from its content: {name!r}. "
                f"Received: name={self.name!r}. Leave `name` out."
            )
        self.name = name
        if not self.description:
            self.description = self._derived_description()

    def _derived_name(self) -> str:
        front = [self.variant] if self.variant else []
        if self.plain:
            return "_".join([*front, PLAIN_NAME])
        if self.cratios == normalize_cratios(self.VARIANTS[self.variant]):
            return self.variant or LADDER_NAME
        return "_".join([*front, LADDER_NAME, *map(format_cratio, self.cratios)])

    @classmethod
    def defaults(cls) -> list["LadderConfig"]:
        """The configurations that a builder registers: each variant's ladder and plain form."""
        return [cls(variant=name, plain=plain) for name in cls.VARIANTS for plain in (False, True)]

    def _derived_description(self) -> str:
        if self.plain:
            return "One lossless PNG per image."
        ratios = join_cratios(self.cratios)
        return f"One layered JPEG 2000 codestream per image, with compression ratios {ratios}."
