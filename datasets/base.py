"""What the builders share: worker processes, quarantine, provenance and an undisturbed build."""

import contextlib
import dataclasses
import inspect
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds
from etils import epath

from mammo_tf import files, ingest
from mammo_tf.datasets import build_guards, built, quarantine, schema
from mammo_tf.datasets.config import LadderConfig
from mammo_tf.datasets.grey_image import grey_image
from mammo_tf.datasets.jpeg2000_feature import JPEG2000
from mammo_tf.datasets.splits import SHARES, assign_splits
from mammo_tf.errors import DataError, UserError, WorkerDiedError
from mammo_tf.ingest import Rejection
from mammo_tf.parallel import available_cpus, imap_bounded
from mammo_tf.progress import progress
from mammo_tf.record import MammogramRecord

STOPPED_NAME = "stopped_build_quarantine.csv"
SHUFFLE_BUFFER_BYTES = 64 << 20


@dataclasses.dataclass(frozen=True)
class Item:
    """What one job reads: an image, or a study whose images stand or fall together.

    Attributes:
        key: Unique and stable; the order of the records follows from it; not stored.
        row: Row of the table it comes from.
        patient: Patients are never divided between splits.
        stratum: The splits are stratified by the patient's greatest.
        split: The data set's own split; None lets the patients be divided 70/10/20.
        content: What the builder needs to make the job and the records.
    """

    key: str
    row: int
    patient: str
    stratum: int
    content: Any = dataclasses.field(repr=False)
    split: str | None = None


@dataclasses.dataclass(frozen=True)
class Source:
    """Raw data, listed but not yet read.

    Attributes:
        items: The records to be made.
        rejected: Those that the table alone rules out.
        fingerprint: Changes when the raw data does; no secret can be read from it.
        jobs: Maps items to jobs, in an order of its own choice: yields (item, job).
        metadata: Further entries for the data set's metadata.
    """

    items: tuple[Item, ...]
    rejected: tuple[Rejection, ...]
    fingerprint: str
    jobs: Callable[[list[Item]], Iterator[tuple[Item, Any]]]
    metadata: dict[str, Any] = dataclasses.field(default_factory=dict)


class MammogramBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Base of the builders. A subclass gives `_read_source` and `_records`, and says below what
    its raw files are; docs/extending.md builds one line by line.

    Args:
        data_dir: Where data sets are kept; TFDS's default is ~/tensorflow_datasets.
        config: A configuration's name, or a `LadderConfig` of the builder's kind.
        version: TFDS version to read.
        file_format: TFDS file format, e.g. "array_record" for `as_data_source`.
        max_quarantine: The greatest share of records that may be unusable, 0 to 1.
        strict: True to stop at the first unusable record.
        workers: Processes that read and encode; None means one per available core.
        shuffle_buffer_bytes: Records kept in memory before TFDS's shuffling goes to disk.
        follow_links, join_ids, allow_burned_in: See `OPTIONS`; False for a data set without them.

    Attributes:
        OPTIONS: Of these three, what the data set has: to follow symbolic links out of the raw
            folder, to take ids that differ in their spelling only for one patient, and to take
            images that say that text is burned into their pixels.
        options: Those that are on.
        was_there: True once `download_and_prepare` has found the data set already built.

    Raises:
        UserError: For an option out of range.
    """

    VERSION = tfds.core.Version("2.0.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {
        "2.0.0": "One record is one image; padding has the darkest level of the image, not 0."
    }
    CONFIG_CLASS: ClassVar[type[LadderConfig]] = LadderConfig
    UNIT: ClassVar[tuple[str, str]] = ("image", "images")  # what an item is
    TABLE: ClassVar[str]  # the file that rows are counted in
    OPTIONS: ClassVar[tuple[str, ...]] = ()
    DEFAULT_TASK: ClassVar[str] = "auto"  # of `mammo-tf recipe compression`
    HOMEPAGE: ClassVar[str] = ""
    DTYPE: ClassVar[str] = "uint16"  # of the image; overridden by `_image_type`
    SHAPE: ClassVar[tuple[int | None, int | None]] = (None, None)
    EXTRA: ClassVar[dict[str, Any]] = {}  # features of `MammogramRecord.extra`
    FINDING_EXTRA: ClassVar[dict[str, Any]] = {}  # features of `Finding.extra`

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        # Under an editable install TFDS looks for README.md and the like in a folder that does
        # not exist, since `mammo_tf.datasets` is mapped to another one.
        cls.BUILDER_CONFIGS = cls.CONFIG_CLASS.defaults()
        cls.code_path = epath.Path(inspect.getfile(cls))
        cls.pkg_dir_path = cls.code_path.parent

    def __init__(
        self,
        *,
        data_dir=None,
        config=None,
        version=None,
        file_format=None,
        max_quarantine: float = 0.01,
        strict: bool = False,
        workers: int | None = None,
        shuffle_buffer_bytes: int = SHUFFLE_BUFFER_BYTES,
        follow_links: bool = False,
        join_ids: bool = False,
        allow_burned_in: bool = False,
    ):
        if workers is not None and workers < 1:
            raise UserError(f"The number of workers must be at least 1. Received: {workers}.")
        asked = {
            "follow_links": follow_links,
            "join_ids": join_ids,
            "allow_burned_in": allow_burned_in,
        }
        self.options = self._check_options(asked)
        self.max_quarantine = max_quarantine
        self.strict = strict
        self.workers = workers
        self.shuffle_buffer_bytes = shuffle_buffer_bytes
        self.was_there = False
        self._quarantine = self._new_quarantine(0)
        if data_dir is not None:
            data_dir = os.path.expanduser(data_dir)
        with build_guards.clear_damage():
            super().__init__(
                data_dir=data_dir, config=config, version=version, file_format=file_format
            )
            dict(self.info.metadata or {})  # TFDS reads metadata.json when it is first looked at
        self._original_state |= {  # what pickling restores
            "max_quarantine": max_quarantine,
            "strict": strict,
            "workers": workers,
            "shuffle_buffer_bytes": shuffle_buffer_bytes,
            **asked,
        }

    def _check_options(self, asked: dict[str, bool]) -> frozenset[str]:
        options = frozenset(name for name, is_on in asked.items() if is_on)
        if unknown := sorted(options - set(self.OPTIONS)):
            raise UserError(
                f"The data set {self.name} has no option {', '.join(map(_flag, unknown))}."
            )
        return options

    # For subclasses

    def _read_source(self, manual_dir: Path, *, create_salt: bool) -> Source:
        """Lists the raw data in `manual_dir`."""
        raise NotImplementedError

    def _worker(self) -> Callable[[Any], Any]:
        """The function that turns a job into a result or `Rejection`, in a worker process."""
        return ingest.ingest

    def _records(self, item: Item, result: Any) -> Iterator[MammogramRecord | Rejection]:
        """The records of an item, one for each image; a `Rejection` goes into the quarantine."""
        raise NotImplementedError

    def _report_notes(self) -> tuple[str, ...]:
        """Sentences about the images that every report on them must pass on."""
        return ()

    def _image_type(self) -> tuple[tuple[int | None, int | None], str]:
        """((height, width), dtype) of the images; None where it varies."""
        return self.SHAPE, self.DTYPE

    @property
    def _job_cratios(self) -> tuple[float, ...] | None:
        """What `Job.cratios` is to be."""
        return None if self.builder_config.plain else self.builder_config.cratios

    def _info(self) -> tfds.core.DatasetInfo:
        (height, width), dtype = self._image_type()
        if self.builder_config.plain:
            image = grey_image((height, width), dtype)
        else:
            image = JPEG2000(
                shape=(height, width, 1),
                dtype=np.dtype(dtype).type,
                cratios=self.builder_config.cratios,
            )
        about = {
            "is_phantom": False,
            "has_official_splits": False,
            "cratios": list(self.builder_config.cratios),
            "notes": list(self._report_notes()),
        }
        return self.dataset_info_from_configs(
            features=schema.features(image, self.EXTRA, self.FINDING_EXTRA),
            supervised_keys=("image", "label"),
            homepage=self.HOMEPAGE,
            metadata=tfds.core.MetadataDict(about),
        )

    # The build

    def download_and_prepare(
        self, *, download_dir=None, download_config=None, file_format=None, **kwargs
    ) -> None:
        """Builds the data set unless it is there; see the TFDS method of this name.

        Leftovers of a killed build are removed first, and only one process builds at a time.

        Raises:
            UserError: If the data set is there but was made from other raw data, or another
                process is building it.
            DataError: If the raw data cannot be used, or too much of it.
        """
        config = download_config or tfds.download.DownloadConfig()
        if config.manual_dir is not None:
            manual_dir = os.path.expanduser(config.manual_dir)
            config = dataclasses.replace(config, manual_dir=manual_dir)
        if self.data_path.exists() and not config.download_mode.overwrite_dataset:
            self._check_same_source(config.manual_dir)
            self.was_there = True
            return
        with (
            build_guards.alone_in(self.data_path.parent, version=str(self.version)),
            build_guards.clear_disk_errors(),
        ):
            super().download_and_prepare(
                download_dir=download_dir,
                download_config=config,
                file_format=file_format,
                **kwargs,
            )

    def _check_same_source(self, manual_dir) -> None:
        built_with = set(self.info.metadata.get("options", ())) & set(self.OPTIONS)
        if missing := sorted(self.options - built_with):
            raise UserError(
                f"{self.data_dir} was built without {', '.join(map(_flag, missing))}. Nothing was "
                "changed. Give another --data-dir, or delete that folder first."
            )
        self.options = frozenset(built_with)
        if manual_dir is None:
            return
        source = self._read_source(Path(manual_dir), create_salt=False)
        if source.fingerprint != self.info.metadata.get("source_fingerprint"):
            raise UserError(
                f"{self.data_dir} was built from other raw data than {manual_dir} holds now. "
                "Nothing was changed. Give another --data-dir, or delete that folder first."
            )

    def _download_and_prepare(self, dl_manager, download_config) -> None:
        stopped = Path(self.data_path).parent / STOPPED_NAME
        try:
            with (
                build_guards.small_shuffle_buffer(self.shuffle_buffer_bytes),
                build_guards.tfds_bars_hidden(),
                contextlib.ExitStack() as self._open,
            ):
                super()._download_and_prepare(dl_manager, download_config)
        except DataError as error:
            if not self._quarantine.rejections:
                raise
            files.write_text(stopped, self._quarantine.to_csv())
            raise DataError(f"{error} All that were found are listed in {stopped}.") from None
        # `data_path` is TFDS's temporary folder here, which becomes the data set in one move.
        self.info.metadata["num_quarantined"] = self._quarantine.num_records
        self.info.metadata["options"] = sorted(self.options)
        self.info.metadata["num_noted"] = self._quarantine.num_noted
        files.write_text(Path(self.data_path) / quarantine.FILE_NAME, self._quarantine.to_csv())
        stopped.unlink(missing_ok=True)

    def _split_generators(self, dl_manager) -> dict[str, Iterable]:
        from mammo_tf.codecs import openjpeg

        openjpeg.configure()  # says here, once, if there is none
        source = self._read_source(self._find_manual_dir(dl_manager), create_salt=True)
        self.info.metadata.update(source.metadata, source_fingerprint=source.fingerprint)
        num_records = len(source.items) + quarantine.count_records(source.rejected)
        self._quarantine = self._new_quarantine(num_records)
        self._quarantine.add_all(source.rejected)
        parts = _divide(source.items)
        self.info.metadata["has_official_splits"] = any(item.split for item in source.items)
        results = self._results(source, list(parts.values()))
        self._open.callback(results.close)  # stops the pool at once if the build fails
        return {
            name: self._generate_examples(islice(results, len(items)), name)
            for name, items in parts.items()
        }

    def _find_manual_dir(self, dl_manager) -> Path:
        try:
            return Path(dl_manager.manual_dir)
        except AssertionError:  # TFDS' way to say that the folder is missing or empty
            raise self._not_built() from None

    def as_dataset(self, split=None, **kwargs):
        """Reads the data set; see the TFDS method of this name.

        Raises:
            UserError: If the data set is not built; the message names those that are.
        """
        self._check_is_built()
        return super().as_dataset(split, **kwargs)

    def as_data_source(self, split=None, **kwargs):
        """Opens the data set for random access; as `as_dataset`."""
        self._check_is_built()
        return super().as_data_source(split, **kwargs)

    def _check_is_built(self) -> None:
        if not self.data_path.exists():
            raise self._not_built()

    def _not_built(self) -> UserError:
        what = built.describe_not_built(Path(self.data_dir_root), self.info.full_name)
        return UserError(
            f"{what} Build it with: mammo-tf data build {self.name} --manual-dir FOLDER"
        )

    def _results(self, source: Source, parts: list[list[Item]]) -> Iterator[tuple[Item, Any]]:
        """Yields (item, result) for the parts one after the other, through one pool."""
        workers = available_cpus() if self.workers is None else self.workers
        waiting: list[Item] = []

        def jobs():
            for part in parts:
                for item, job in source.jobs(part):
                    waiting.append(item)
                    yield job

        total = sum(len(part) for part in parts)
        results = imap_bounded(self._worker(), jobs(), workers=workers, window=max(workers, 1) + 1)
        with progress(description=self.info.full_name, total=total, unit=self.UNIT[0]) as bar:
            try:
                for result in results:
                    bar.update()
                    yield waiting.pop(0), result
            except WorkerDiedError:
                raise DataError(
                    f"A worker process died at {self.TABLE} row {waiting[0].row} or one of the "
                    f"next {len(waiting) - 1} rows: memory ran out or a codec crashed. "
                    "Try --workers 1; if it dies again, remove that row."
                ) from None

    def _generate_examples(self, results, split: str) -> Iterator[tuple[str, dict]]:
        empty = True
        for item, result in results:
            if isinstance(result, Rejection):
                self._quarantine.add(result)
            else:
                for number, record in enumerate(self._records(item, result)):
                    if isinstance(record, Rejection):
                        self._quarantine.add(record)
                        continue
                    empty = False
                    # The order follows from it, and must not from a salt in the ids.
                    key = f"{item.key}\0{number}" if number else item.key
                    yield key, schema.example(record)
        if empty:
            raise DataError(
                f"All {self.UNIT[1]} of the split '{split}' are unusable, e.g. {self.TABLE} row "
                f"{self._quarantine.rejections[-1].row}: {self._quarantine.rejections[-1].reason}. "
                f"Mend them or add {self.UNIT[1]}."
            )

    def _log_download_bytes(self) -> None:
        """Nothing: TFDS would print to stdout, which is for results."""

    def _log_download_done(self) -> None:
        """Nothing, see `_log_download_bytes`."""

    def _new_quarantine(self, total: int) -> quarantine.Quarantine:
        return quarantine.Quarantine(
            total=total,
            unit=self.UNIT,
            source=self.TABLE,
            max_fraction=self.max_quarantine,
            strict=self.strict,
        )

    def _create_builder_config(self, builder_config, version):
        """Takes a configuration as it is, or the class's own of that name: equal by construction.

        TFDS would refuse the equal one, and log a warning for the others.
        """
        if isinstance(builder_config, self.CONFIG_CLASS):
            return self.builder_configs.get(builder_config.name, builder_config)
        return super()._create_builder_config(builder_config, version)


def _flag(option: str) -> str:
    """The option as it is given on the command line; from Python it is the name itself."""
    return "--" + option.replace("_", "-")


def _divide(items: Sequence[Item]) -> dict[str, list[Item]]:
    """The items of each split: the data set's own, or patients divided by `assign_splits`."""
    own = dict.fromkeys(item.split for item in items if item.split)
    if own:
        return {name: [item for item in items if item.split == name] for name in own}
    strata: dict[str, int] = {}
    for item in items:
        strata[item.patient] = max(item.stratum, strata.get(item.patient, 0))
    split_of = assign_splits(strata)
    return {name: [item for item in items if split_of[item.patient] == name] for name in SHARES}
