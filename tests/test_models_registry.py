"""Models by name: options read from a file's source, checked, and given to the class."""

import importlib
import textwrap

import pytest

from mammo_tf import found
from mammo_tf.errors import UserError
from mammo_tf.models import registry
from mammo_tf.models.registry import ModelConfig, build_model, model_options

TINY = textwrap.dedent(
    '''
    """A network of a few lines, as a newcomer writes it."""

    import keras

    from nowhere import nothing  # reading the options must not import the file


    def _helper():
        """Not the model."""


    class Other:
        """Nor this one, which Keras does not know."""


    @keras.saving.register_keras_serializable(package="mammo_tf")
    class TinyNet(keras.Model):
        """Two layers."""

        def __init__(self, *, image_shape, num_classes=1, width=4, rate=0.25, name_of_pool="max",
                     sizes=(8, 16), flag=False, **kwargs):
            inputs = keras.Input(image_shape)
            x = keras.layers.Conv2D(width, 3)(inputs)
            x = keras.layers.GlobalMaxPooling2D()(x)
            super().__init__(inputs, keras.layers.Dense(num_classes)(x), **kwargs)
            self.given = (width, rate, name_of_pool, sizes, flag)
    '''
)


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A folder of models that holds tiny_net.py only; returns where the file is."""
    (tmp_path / "__init__.py").write_text("")
    (tmp_path / "registry.py").write_text("")
    (tmp_path / "_private.py").write_text("")
    path = tmp_path / "tiny_net.py"
    path.write_text(TINY)
    genuine = importlib.util.find_spec

    def find(name, *args):
        if name == "mammo_tf.models":
            return importlib.util.spec_from_file_location(name, tmp_path / "__init__.py")
        return genuine(name, *args)

    monkeypatch.setattr(importlib.util, "find_spec", find)
    return path


def test_a_new_file_is_a_new_model(tiny):
    assert found.models() == {"tiny_net": "TinyNet"}
    defaults = {"width": 4, "rate": 0.25, "name_of_pool": "max", "sizes": (8, 16), "flag": False}
    assert model_options("tiny_net") == defaults
    config = ModelConfig(name="tiny_net", options={"rate": 0.5, "sizes": [1, 2, 3]})
    assert config.options == defaults | {"rate": 0.5, "sizes": [1, 2, 3]}


def test_it_is_built_with_the_options_given(tiny, monkeypatch):
    source = TINY.replace("from nowhere import nothing", "")
    tiny.write_text(source)
    spec = importlib.util.spec_from_file_location("mammo_tf.models.tiny_net", tiny)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(registry.importlib, "import_module", lambda name: module)
    config = ModelConfig(name="tiny_net", options={"width": 3, "flag": True})
    model = build_model(config, image_shape=(20, 12, 1), num_outputs=3)
    assert model.given == (3, 0.25, "max", (8, 16), True)
    assert model.output_shape == (None, 3) and model.input_shape == (None, 20, 12, 1)


def test_every_model_there_is_can_be_built_with_its_defaults():
    assert {"cnn3", "depthwise_cnn"} <= set(found.models())
    for name in found.models():
        options = model_options(name)
        if options.get("weights") == "imagenet" and name.startswith("resnet"):
            options["weights"] = "none"  # keras-hub would have to download them
        model = build_model(ModelConfig(name=name, options=options), image_shape=(96, 80, 1))
        assert model.output_shape == (None, 1)
        for option, value in options.items():
            kept = model.get_config()[option]
            assert (tuple(kept) if isinstance(value, tuple) else kept) == value


def test_options_reach_the_network():
    options = {"dropout": 0.45, "head_pooling": "max", "stackwise_num_filters": (2, 3, 5)}
    model = build_model(ModelConfig(options=options), image_shape=(96, 80, 1))
    for name, value in options.items():
        kept = model.get_config()[name]
        assert (tuple(kept) if isinstance(value, tuple) else kept) == value
    rates = [layer.rate for layer in model.layers if type(layer).__name__ == "Dropout"]
    assert rates and set(rates) == {0.45}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "cnn4"}, "`model` must be one of .*cnn3.* Received: 'cnn4'"),
        ({"name": "../cnn3"}, "`model` must be one of"),
        ({"name": "registry"}, "`model` must be one of"),
        ({"options": {"droput": 0.3}}, r"no option `droput`, .*Did you mean model\.dropout"),
        ({"options": {"image_shape": (1, 1, 1)}}, "no option `image_shape`"),
        ({"options": {"dropout": "much"}}, r"`model.dropout` must be like its default"),
        ({"options": {"dropout": True}}, "must be like its default"),
        ({"options": {"stackwise_num_filters": 4}}, "must be like its default"),
        ({"options": {"head_pooling": 3}}, "must be like its default"),
    ],
)
def test_wrong_names_and_types_are_one_line(arguments, message):
    with pytest.raises(UserError, match=message) as error:
        ModelConfig(**arguments)
    assert "\n" not in str(error.value)


def test_text_of_the_command_line_takes_the_default_s_type():
    changed = ModelConfig().replace_options({"dropout": "0.3", "dense_units": "7,5"})
    assert changed.options["dropout"] == 0.3
    assert changed.options["dense_units"] == (7, 5)
    for assignments, message in (
        ({"dropout": "much"}, "`model.dropout` must be a number"),
        ({"pooling": "max"}, "no option `pooling`"),
    ):
        with pytest.raises(UserError, match=message):
            ModelConfig().replace_options(assignments)


def test_a_network_of_one_output_refuses_three_classes():
    with pytest.raises(UserError, match=r"'cnn3' has one output.*has 3; choose a model"):
        build_model(ModelConfig(), image_shape=(96, 80, 1), num_outputs=3)


def test_a_file_without_a_registered_class_is_no_model(tiny):
    tiny.write_text("class Net:\n    pass\n")
    assert found.models() == {}
    with pytest.raises(UserError, match="`model` must be one of"):
        ModelConfig(name="tiny_net")
