"""What a scorer is given, and how its answer is read. No heavy import."""

from dataclasses import dataclass

from mammo_tf.config import check_choice, check_range
from mammo_tf.errors import UserError

INPUTS = ("pixels", "display", "255", "standardised")
UNITS = ("image", "breast", "study")
FILES = (".keras", ".onnx")


@dataclass(frozen=True, kw_only=True)
class ScorerConfig:
    """A model from elsewhere, and how it is asked.

    Attributes:
        model: A Keras file (`*.keras`), an ONNX file (`*.onnx`), or "package.module:function".
        input: The grey levels given. "pixels": stored values, as `read_mammogram` gives them.
            "display": the stored range as 0 to 1, as `Mammogram.display()` gives it for a file
            without window or look-up table; a record keeps none. "255": the same as 0 to 255.
            "standardised": minus the image's mean, by its standard deviation, as this project's
            models are fed. None for "pixels" with a function and "standardised" with a file.
        unit: What one score is of: an "image"; a "breast", by its CC and MLO views; a "study", by
            those of both breasts.
        input_shape: (height, width) that images are resized to; None for what a file's own input
            says, and for no resizing with a function.
        fit: How an image comes to that size: "pad" keeps its aspect, at the top left, and fills
            the rest with the image's own dark; "stretch" does not keep it.
        mirror: Whether images of right breasts are mirrored, as this project's models are fed.
        layout: Axes of a file's input: "nhwc", "nchw", or "auto" to tell them by the channels.
        output: "probability", or "logit" for what a sigmoid (one output) or a softmax turns into
            one.
        output_index: Which of a file's several outputs is the positive class.
        combine: How a file's scores of a unit's images become one: "mean" or "max".

    Raises:
        UserError: If a value is out of its range, or has no meaning for this kind of scorer.
    """

    model: str
    input: str | None = None
    unit: str = "image"
    input_shape: tuple[int, int] | None = None
    fit: str = "pad"
    mirror: bool = False
    layout: str = "auto"
    output: str = "probability"
    output_index: int | None = None
    combine: str = "mean"

    def __post_init__(self):
        if not self.is_file and self.model.count(":") != 1:
            raise UserError(
                "--scorer must be a Keras file (*.keras), an ONNX file (*.onnx) or "
                f"package.module:function. Received: {self.model!r}."
            )
        if self.input is not None:
            check_choice("scorer.input", self.input, INPUTS)
        check_choice("scorer.unit", self.unit, UNITS)
        check_choice("scorer.fit", self.fit, ("pad", "stretch"))
        check_choice("scorer.layout", self.layout, ("auto", "nhwc", "nchw"))
        check_choice("scorer.output", self.output, ("probability", "logit"))
        check_choice("scorer.combine", self.combine, ("mean", "max"))
        for side in self.input_shape or ():
            check_range("scorer.input_shape", side, 1, 20_000)
        if self.output_index is not None:
            check_range("scorer.output_index", self.output_index, 0, 100_000)
        for key, default in {"layout": "auto", "output_index": None, "combine": "mean"}.items():
            if not self.is_file and getattr(self, key) != default:
                raise UserError(f"`scorer.{key}` is for Keras and ONNX files, not for a function.")

    @property
    def is_file(self) -> bool:
        """Whether the scorer is a file rather than a function."""
        return self.model.lower().endswith(FILES)

    @property
    def given(self) -> str:
        """The grey levels that are given: one of `INPUTS`."""
        return self.input or ("standardised" if self.is_file else "pixels")

    def describe(self) -> str:
        """Returns in words what the scorer is given, for a report."""
        size = (
            ""
            if self.input_shape is None
            else f", {self.fit} to {self.input_shape[0]}×{self.input_shape[1]}"
        )
        if self.is_file and self.input_shape is None:
            size = f", {self.fit} to the model's input"
        mirrored = ", right breasts mirrored" if self.mirror else ""
        many = f"; {self.combine} over its images" if self.is_file and self.unit != "image" else ""
        return f"{self.given}{size}{mirrored}; a score for each {self.unit}{many}"
