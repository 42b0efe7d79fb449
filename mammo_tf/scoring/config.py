"""How a model that is brought along is called. No heavy import."""

from dataclasses import dataclass

from mammo_tf.config import check_choice, check_range
from mammo_tf.errors import UserError

UNITS = ("image", "breast", "study")
SCALES = ("standardise", "unit", "255")
OUTPUTS = ("probability", "logit")


@dataclass(frozen=True, kw_only=True)
class ScorerConfig:
    """Which model, and how images are given to it.

    Attributes:
        model: A Keras model (FILE.keras), an ONNX model (FILE.onnx), or "package.module:function",
            which is called with a `ScoredView`, or with a list of them where `unit` is not "image".
        unit: What gets one score: "image", "breast" (all views of one side at one visit) or "study"
            (all images of one visit). Of a file's scores of several images the highest counts.
        scale: What a file's input is: "standardise" (each image minus its mean, by its standard
            deviation), "unit" (0 to 1) or "255" (0 to 255). A function scales for itself.
        output: What a file gives: a "probability", or a "logit".
        output_index: Which of a file's outputs is the positive class, from 0; -1 is the last.
        input_shape: (height, width) of a file's input where the file leaves it open; None to take
            the file's own. Images are resized to it as a whole.

    Raises:
        UserError: If a value is out of its range.
    """

    model: str
    unit: str = "image"
    scale: str = "standardise"
    output: str = "probability"
    output_index: int = -1
    input_shape: tuple[int, int] | None = None

    def __post_init__(self):
        check_choice("scorer.unit", self.unit, UNITS)
        check_choice("scorer.scale", self.scale, SCALES)
        check_choice("scorer.output", self.output, OUTPUTS)
        check_range("scorer.output_index", self.output_index, -1, 10_000)
        for size in self.input_shape or ():
            check_range("scorer.input_shape", size, 8, 20_000)
        if not self.is_file and not _is_function(self.model):
            raise UserError(
                "--scorer takes FILE.keras, FILE.onnx or package.module:function. "
                f"Received: {self.model!r}."
            )

    @property
    def is_file(self) -> bool:
        """Whether the model is a file, not a function."""
        return self.model.lower().endswith((".keras", ".onnx"))


def _is_function(text: str) -> bool:
    module, _, name = text.partition(":")
    return name.isidentifier() and all(part.isidentifier() for part in module.split("."))
