"""Overrides of frozen configurations."""

from dataclasses import dataclass, field

import pytest

from mammo_tf.config import apply_overrides, differences, parse_like, to_plain, with_defaults
from mammo_tf.errors import UserError
from mammo_tf.models.registry import ModelConfig


@dataclass(frozen=True, kw_only=True)
class Inner:
    learning_rate: float = 1e-3
    epochs: int = 5
    patience: int | None = None
    flips: bool = True

    def __post_init__(self):
        if self.epochs < 1:
            raise UserError(f"`epochs` must be at least 1. Received: {self.epochs}.")


@dataclass(frozen=True, kw_only=True)
class Outer:
    training: Inner = field(default_factory=Inner)
    cratios: tuple[float, ...] = (1, 15)
    shape: tuple[int, int] = (4, 5)
    name: str = "demo"


@pytest.mark.parametrize(
    ("assignment", "get", "expected"),
    [
        ("training.learning_rate=1e-4", lambda c: c.training.learning_rate, 1e-4),
        ("training.epochs=7", lambda c: c.training.epochs, 7),
        ("training.patience=3", lambda c: c.training.patience, 3),
        ("training.patience=none", lambda c: c.training.patience, None),
        ("training.flips=no", lambda c: c.training.flips, False),
        ("cratios=1,100", lambda c: c.cratios, (1, 100)),
        ("shape=7,8", lambda c: c.shape, (7, 8)),
        ("name=a=b", lambda c: c.name, "a=b"),
    ],
)
def test_values_take_the_default_s_type(assignment, get, expected):
    assert get(apply_overrides(Outer(), (assignment,))) == expected


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("training.learnin_rate=1", "Did you mean training.learning_rate?"),
        ("learning_rate=1", "Did you mean training.learning_rate"),
        ("training.epochs=many", "must be a whole number"),
        ("training.epochs=0", "at least 1"),
        ("training=3", "is a section"),
        ("name.x=3", "has no parts"),
        ("shape=1,2,3", "takes 2 values"),
        ("epochs", "KEY=VALUE"),
    ],
)
def test_a_wrong_override_is_one_clear_line(assignment, message):
    with pytest.raises(UserError, match=message) as error:
        apply_overrides(Outer(), (assignment,))
    assert "\n" not in str(error.value)


def test_differences_name_the_key_and_both_values():
    changed = apply_overrides(Outer(), ("training.epochs=7", "cratios=1,20"))
    assert differences(to_plain(Outer()), to_plain(changed)) == [
        "cratios: [1, 15], now [1.0, 20.0]",
        "training.epochs: 5, now 7",
    ]


@dataclass(frozen=True, kw_only=True)
class Modelled:
    model: ModelConfig = field(default_factory=ModelConfig)
    epochs: int = 5


def test_options_of_a_model_are_keys_of_the_configuration():
    changed = apply_overrides(Modelled(), ("model.dropout=0.25", "model.dense_units=9,8"))
    assert changed.model.options["dropout"] == 0.25
    assert changed.model.options["dense_units"] == (9, 8)
    assert changed.epochs == 5
    assert to_plain(changed)["model"]["options"]["dense_units"] == [9, 8]
    with pytest.raises(UserError, match=r"Did you mean model\.dropout"):
        apply_overrides(Modelled(), ("model.dropuot=0.25",))
    with pytest.raises(UserError, match=r"`model.dropout` must be a number\. Received: 'x'"):
        apply_overrides(Modelled(), ("model.dropout=x",))


@pytest.mark.parametrize(
    ("text", "default", "expected"),
    [
        ("3", 1, 3),
        ("1e-3", 0.5, 0.001),
        ("no", True, False),
        ("a=b", "x", "a=b"),
        ("text", None, "text"),
        ("1,2", (3, 4), (1, 2)),
        ("a,b,c", (), ("a", "b", "c")),
    ],
)
def test_text_is_parsed_as_its_default_is(text, default, expected):
    value = parse_like(text, default, "key")
    assert value == expected and type(value) is type(expected)


@dataclass(frozen=True, kw_only=True)
class Dependent:
    epochs: int = 5
    warmup: int = 2

    def __post_init__(self):
        if self.warmup > self.epochs:
            raise UserError("`warmup` must be at most `epochs`.")


@pytest.mark.parametrize("order", [("epochs=1", "warmup=0"), ("warmup=0", "epochs=1")])
def test_the_order_of_assignments_does_not_matter(order):
    assert apply_overrides(Dependent(), order) == Dependent(epochs=1, warmup=0)
    assert apply_overrides(Dependent(), ("epochs=9", "epochs=4")) == Dependent(epochs=4)
    with pytest.raises(UserError, match="at most"):
        apply_overrides(Dependent(), ("epochs=1",))


def test_keys_that_came_later_get_their_default_not_the_value_asked_for():
    kept = to_plain(Outer(name="mine", training=Inner(epochs=9)))
    del kept["shape"], kept["training"]["patience"]
    now = Outer(shape=(1, 2), training=Inner(patience=3))
    filled = with_defaults(kept, now)
    assert filled == to_plain(Outer(name="mine", training=Inner(epochs=9)))
    del kept["training"]
    assert with_defaults(kept, now)["training"] == to_plain(Inner())
