"""The cache: one pass, only what is missing, nothing damaged or foreign is ever used."""

import json
import logging
import threading

import numpy as np
import pytest

from mammo_tf.errors import UserError
from mammo_tf.pipelines.cache import ImageCache, fingerprint
from mammo_tf.pipelines.records import cached_json
from mammo_tf.pipelines.threads import map_threaded

SHAPE = (4, 3, 5)


class Records:
    """Two records of two examples each, in an order that is not that of the rows."""

    def __init__(self):
        self.passes = []

    def __call__(self, missing):
        self.passes.append(list(missing))
        return iter([(3, 0), (1, 2)])

    @staticmethod
    def rows(record, missing):
        for row in record:
            yield row, {cratio: _image(row, cratio) for cratio in missing}


def _image(row, cratio):
    return np.full(SHAPE[1:], 1000 * row + cratio, np.uint16)


def _cache(folder, key="k", shape=SHAPE, dtype=np.uint16):
    return ImageCache(folder, name="test", key=key, shape=shape, dtype=dtype)


def _filled(folder, cratios, **kwargs):
    cache, records = _cache(folder, **kwargs), Records()
    cache.fill(cratios, records, records.rows, workers=2)
    return cache, records


def _check(cache, cratios):
    for cratio in cratios:
        images = cache.images(cratio)
        assert images.shape == SHAPE
        assert images.dtype == np.uint16
        assert images[:, 2, 4].tolist() == [cratio, 1000 + cratio, 2000 + cratio, 3000 + cratio]
        with pytest.raises(ValueError, match="read-only"):
            images[0] = 0


@pytest.mark.parametrize("on_disk", [True, False])
def test_fills_in_one_pass_and_only_what_is_missing(tmp_path, on_disk):
    cache, records = _filled(tmp_path if on_disk else None, [1, 100])
    assert records.passes == [[1, 100]]
    _check(cache, [1, 100])
    cache.fill([1, 100, 500], records, records.rows, workers=1)
    assert records.passes == [[1, 100], [500]]
    _check(cache, [1, 100, 500])
    assert any(tmp_path.iterdir()) == on_disk


def test_another_process_decodes_nothing(tmp_path):
    _filled(tmp_path, [1, 100])
    cache, records = _filled(tmp_path, [100])
    assert records.passes == []
    _check(cache, [100])
    assert isinstance(cache.images(100), np.memmap)


def test_a_ratio_not_asked_for_is_refused(tmp_path):
    cache, _ = _filled(tmp_path, [1, 1.5])
    with pytest.raises(UserError, match=r"holds CR 1, 1\.5\. Received: 20\."):
        cache.images(20)


def test_no_file_is_left_when_a_pass_breaks_off(tmp_path):
    cache, records = _cache(tmp_path), Records()

    def broken(record, missing):
        yield from records.rows(record, missing)
        if 1 in record:
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        cache.fill([1], records, broken, workers=2)
    assert not list(cache.folder.iterdir())


@pytest.mark.parametrize("rows", [(0, 1, 2), (0, 1, 2, 3, 3)])
def test_every_row_comes_once(tmp_path, rows):
    with pytest.raises(RuntimeError):
        _cache(tmp_path).fill([1], lambda _: [rows], Records.rows, workers=1)
    assert not list((tmp_path / "test-k").glob("*.npy"))


def _cut_off(path):
    path.write_bytes(path.read_bytes()[:-7])


def _empty(path):
    path.write_bytes(b"")


def _flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[-9] ^= 1
    path.write_bytes(content)


def _pickle(path):
    np.save(path, np.array([{}], object), allow_pickle=True)


def _foreign_array(path):
    np.save(path, np.zeros(SHAPE, np.uint16))


def _other_shape(path):
    np.save(path, np.zeros((2, 2), np.uint16))


def _no_description(path):
    path.with_suffix(".json").unlink()


def _list_as_description(path):
    path.with_suffix(".json").write_text("[1]")


def _foreign_description(path):
    described = path.with_suffix(".json")
    described.write_text(json.dumps({**json.loads(described.read_text()), "key": "other"}))


@pytest.mark.parametrize(
    "damage",
    [_cut_off, _empty, _flip_a_bit, _pickle, _foreign_array, _other_shape, _no_description,
     _list_as_description, _foreign_description],
)  # fmt: skip
def test_a_damaged_array_is_made_anew_and_said_so(tmp_path, damage, caplog):
    cache, _ = _filled(tmp_path, [1, 100])
    damage(cache.path(100))
    with caplog.at_level(logging.WARNING):
        cache, records = _filled(tmp_path, [1, 100])
    assert records.passes == [[100]]
    assert "cr100.npy is damaged and is made anew" in caplog.text
    _check(cache, [1, 100])
    assert _filled(tmp_path, [1, 100])[1].passes == []


def test_other_settings_never_meet_these_files(tmp_path):
    _filled(tmp_path, [1], key=fingerprint(fraction=0.3, shape=(1, 2)))
    _, records = _filled(tmp_path, [1], key=fingerprint(fraction=0.25, shape=(1, 2)))
    assert records.passes == [[1]]
    assert fingerprint(a=(1, 2), b="x") == fingerprint(b="x", a=[1, 2])


def test_the_file_is_an_ordinary_npy(tmp_path):
    cache, _ = _filled(tmp_path, [1])
    assert (np.load(cache.path(1), allow_pickle=False) == cache.images(1)).all()


def test_json_is_made_once_and_again_if_damaged(tmp_path, caplog):
    made = []

    def make():
        made.append(1)
        return {"shapes": [(2, 3)]}

    assert cached_json(tmp_path, "index", "k", make) == {"shapes": [[2, 3]]}
    assert cached_json(tmp_path, "index", "k", make) == {"shapes": [[2, 3]]}
    assert len(made) == 1
    path = tmp_path / "index-k.json"
    path.write_text(path.read_text().replace("3", "4", 1))
    assert cached_json(tmp_path, "index", "k", make) == {"shapes": [[2, 3]]}
    assert len(made) == 2
    assert "made anew" in caplog.text
    assert cached_json(None, "index", "k", make) == {"shapes": [(2, 3)]}


def test_threads_keep_order_and_hold_few_items():
    taken = []

    def items():
        for item in range(50):
            taken.append(item)
            yield item

    results = map_threaded(lambda item: (item, threading.get_ident()), items(), workers=3)
    assert next(results)[0] == 0
    assert len(taken) <= 4
    assert [item for item, _ in results] == list(range(1, 50))
    assert list(map_threaded(abs, [-1, 2], workers=1)) == [1, 2]


def test_a_threads_error_comes_at_its_turn():
    results = map_threaded(lambda item: 1 // item, [1, 0, 1], workers=2)
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)
