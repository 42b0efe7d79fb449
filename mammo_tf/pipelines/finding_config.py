"""How findings are cut for "malignant or benign, the place given"; imports nothing heavy."""

from dataclasses import dataclass

from mammo_tf.config import check_range


@dataclass(frozen=True, kw_only=True)
class FindingPatchConfig:
    """The patch round each finding of the task "patch"; not from a paper.

    Attributes:
        input_size: Height and width of the network's input, 16 to 512.
        context: Side of the patch against the longer side of the finding's box, 1 to 10.
        film_aspect: Height over width that the images had before they were stretched to squares,
            0.1 to 10; a patch is then square on the film. 1 for images as they are.

    Raises:
        UserError: If a value is out of its range.
    """

    input_size: int = 96
    context: float = 2.0
    film_aspect: float = 1.0

    def __post_init__(self):
        check_range("patch.input_size", self.input_size, 16, 512)
        check_range("patch.context", self.context, 1, 10)
        check_range("patch.film_aspect", self.film_aspect, 0.1, 10)
