"""Opening a run's data: a phantom, raw files, a data set that is there, and what goes wrong."""

import pytest

from mammo_tf.data_source import DataPaths, open_data
from mammo_tf.errors import UserError
from mammo_tf.phantom.config import PhantomConfig

PHANTOM = PhantomConfig(num_studies=10, scale=0.125, seed=4)


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="module")
def opened(run_dir):
    return open_data("ncc", DataPaths(), run_dir, cratios=(20,), phantom=PHANTOM)


def test_a_phantom_is_made_built_and_listed(opened, run_dir):
    assert (run_dir / "phantom" / "studies.csv").is_file()
    assert opened.catalog.is_phantom and len(opened.catalog.images) == 40
    # CR 1 joins those asked for: places and tissue are measured there.
    assert opened.builder.builder_config.cratios == (1, 20)
    assert opened.cache_dir == run_dir / "cache"
    described = opened.describe()
    assert described["name"] == "ncc/ladder_1_20/2.0.0"
    assert sum(described["examples"].values()) == 40
    fingerprint = opened.builder.info.metadata["source_fingerprint"]
    assert described["source_fingerprint"] == fingerprint


def test_again_it_is_only_opened(opened, run_dir):
    again = open_data("ncc", DataPaths(), run_dir, cratios=(20, 1), phantom=PHANTOM)
    assert again.builder.was_there
    assert again.catalog == opened.catalog


def test_ratios_that_augmentation_draws_from_are_built_and_known_to_every_task(opened, run_dir):
    drawn = open_data(
        "ncc", DataPaths(), run_dir, cratios=(1,), augment_cratios=(20,), phantom=PHANTOM
    )
    assert drawn.builder.builder_config.cratios == (1, 20) and drawn.builder.was_there
    assert (drawn.augment_cratios, opened.augment_cratios) == ((20,), ())


def test_built_before_it_needs_no_raw_files(opened, run_dir, tmp_path):
    paths = DataPaths(data_dir=str(run_dir / "data"))
    assert open_data("ncc", paths, tmp_path, cratios=(1, 20)).catalog == opened.catalog


@pytest.mark.parametrize(
    ("dataset", "paths", "options", "message"),
    [
        (
            "ncc",
            DataPaths(manual_dir="raw"),
            {"phantom": PHANTOM},
            "--manual-dir is for real files",
        ),
        ("mini_mias", DataPaths(), {"phantom": PHANTOM}, "There is no phantom of mini_mias"),
        ("ncc", DataPaths(), {}, r"not built in .* To build it give --manual-dir"),
        ("ncc", DataPaths(manual_dir="/nowhere"), {}, "--manual-dir must be a folder"),
        ("inbreast", DataPaths(), {}, "There are the data sets .*mini_mias.*Received: 'inbreast'"),
        ("ncc", DataPaths(), {"variant": "mass"}, "`variant` must be one of"),
    ],
)
def test_what_is_missing_is_one_line(tmp_path, dataset, paths, options, message):
    with pytest.raises(UserError, match=message) as error:
        open_data(dataset, paths, tmp_path, cratios=(1, 20), **options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"num_studies": 9}, "`phantom.num_studies` must be between 10"),
        ({"scale": 0}, "`phantom.scale`"),
        ({"malignant_fraction": 1.5}, "`phantom.malignant_fraction`"),
        ({"seed": -1}, "`phantom.seed`"),
    ],
)
def test_a_phantom_out_of_range(values, message):
    with pytest.raises(UserError, match=message):
        PhantomConfig(**values)
