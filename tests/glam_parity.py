"""Weights, image and answers of the authors' GLAM; run with KERAS_BACKEND set it prints our errors.

The answers in data/glam_parity.json were computed with the authors' code from weights and an image
that the two rules below make.
"""

import json
import sys
import zlib
from pathlib import Path

import numpy as np

FIXTURE = Path(__file__).parent / "data" / "glam_parity.json"


def weight(key: str, shape: list[int], seed: int) -> np.ndarray:
    """Returns one array of the seeded state dict."""
    rng = np.random.default_rng([seed, zlib.crc32(key.encode())])
    if key.endswith("num_batches_tracked"):
        array = np.zeros(shape)
    elif key.endswith("running_var") or (key.endswith("weight") and len(shape) == 1):
        array = rng.uniform(0.5, 1.5, shape)
    elif key.endswith("running_mean") or (key.endswith("bias") and len(shape) == 1):
        array = rng.normal(0, 0.1, shape)
    else:
        gain = 0.5 if "gn_conv" in key else 1
        array = rng.normal(0, gain / np.sqrt(np.prod(shape[1:])), shape)
    return array.astype(np.float32)


def state_dict(fixture: dict) -> dict[str, np.ndarray]:
    """Returns the seeded weights by the authors' names."""
    return {key: weight(key, s, fixture["seed"]) for key, s in fixture["state_dict"].items()}


def image(fixture: dict) -> np.ndarray:
    """Returns the (2944, 1920) image."""
    rng = np.random.default_rng(fixture["seed"])
    coarse = rng.normal(size=(1, 1, 46, 30)).astype(np.float32)
    fine = 0.1 * rng.normal(size=(2944, 1920)).astype(np.float32)
    x = np.kron(coarse[0, 0], np.ones((64, 64), np.float32)) + fine
    return ((x - x.mean()) / x.std()).astype(np.float32)


def errors() -> dict:
    """Returns our largest differences from the authors' answers, and both corners."""
    from mammo_tf.models.glam import GLAM, load_torch_state_dict

    fixture = json.loads(FIXTURE.read_text())
    expected = fixture["expected"]
    model = GLAM(num_crops=fixture["top_k_per_class"])
    notes = load_torch_state_dict(model, state_dict(fixture))
    found = model.predict(image(fixture)[None, ..., None], verbose=0)
    rows, columns = np.array(expected["points_row_col"]).T
    pairs = {
        "prediction": (found["prediction"][0], expected["y_global"]),
        "layer_predictions": (found["layer_predictions"][0], expected["y_cam_layer1_2_3"]),
        "global_saliency": (
            found["global_saliency"].mean(axis=(0, 1, 2), dtype=np.float64),
            expected["saliency_global_mean"],
        ),
        "saliency_mean": (
            found["saliency"].mean(axis=(0, 1, 2), dtype=np.float64),
            expected["saliency_mean"],
        ),
        "saliency": (found["saliency"][0][rows, columns], expected["saliency_at_points"]),
    }
    return {name: float(np.abs(a - np.array(b)).max()) for name, (a, b) in pairs.items()} | {
        "corners": found["crop_corners"][0].tolist(),
        "expected_corners": expected["patch_locations_row_col"],
        "notes": notes,
    }


if __name__ == "__main__":
    json.dump(errors(), sys.stdout)
