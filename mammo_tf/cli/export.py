"""`mammo-tf export`: a trained network of a run as a file for other programs."""

import click

from mammo_tf.cli.options import UserPath
from mammo_tf.errors import UserError

SUFFIXES = (".keras", ".onnx")


@click.command(context_settings={"show_default": True})
@click.argument("cell", metavar="CELL", type=UserPath(exists=True, file_okay=False))
@click.argument("out", metavar="OUT", type=UserPath(dir_okay=False))
def export(cell, out):
    """Write a trained network as OUT: a Keras file (.keras) or ONNX (.onnx).

    CELL is a folder below cells/ of a run folder. The file takes (batch, height, width, 1) float32
    images, each standardised to mean 0 and deviation 1, and gives logits (GLAM: its maps). ONNX
    needs the extra `onnx-export`.

    \b
      mammo-tf export runs/compression-ncc/cells/cnn3-cr1-fold0 cnn3.keras
      mammo-tf export runs/compression-ncc/cells/cnn3-cr1-fold0 cnn3.onnx

    In Python: keras.saving.load_model("cnn3.keras") after `import mammo_tf.models.cnn3`, or without
    a file mammo_tf.models.saved.load_cell(CELL). Research only: not a medical device.
    """
    if not str(out).endswith(SUFFIXES):
        raise UserError(f"OUT must end in {' or '.join(SUFFIXES)}. Received: {out}.")
    from mammo_tf.quiet import import_tensorflow

    import_tensorflow()
    from mammo_tf.files import atomic_path
    from mammo_tf.models.saved import load_cell

    is_onnx = str(out).endswith(".onnx")
    if is_onnx:
        _check_onnx()
    model = load_cell(cell)
    with atomic_path(out) as temporary:
        if is_onnx:
            _write_onnx(model, temporary)
        else:
            model.save(temporary)
    click.echo(out)


def _write_onnx(model, path) -> None:
    """Writes ONNX, and reads it again to see that it gives what the network gives."""
    import logging
    import warnings

    import numpy as np

    inputs = np.random.default_rng(0).normal(size=(1, *model.input_shape[1:]))
    inputs = inputs.astype(np.float32)
    expected = model(inputs)  # Keras exports only a network that has been called
    logging.getLogger("tf2onnx").setLevel(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.export(str(path), format="onnx", verbose=False)
    values = expected.values() if isinstance(expected, dict) else [expected]
    if not _gives(path, inputs, [np.asarray(value) for value in values]):
        raise UserError(
            f"ONNX has no operations for all of {model.name}; nothing was written. Write a .keras "
            "file instead."
        )


def _gives(path, inputs, expected) -> bool:
    """Whether each expected output is among those of a file, within 1e-3."""
    import numpy as np
    import onnxruntime

    try:
        session = onnxruntime.InferenceSession(str(path))
        found = session.run(None, {session.get_inputs()[0].name: inputs})
    except Exception:  # onnxruntime has a class of its own for every way to fail
        return False
    return all(
        any(each.shape == one.shape and np.allclose(each, one, atol=1e-3) for each in found)
        for one in expected
    )


def _check_onnx() -> None:
    import importlib.util

    if not all(map(importlib.util.find_spec, ("tf2onnx", "onnxruntime"))):
        raise UserError("ONNX needs the extra 'onnx-export': pip install 'mammo-tf[onnx-export]'.")
