"""What could not be read: counted, listed with its reason, and too much of it stops the build."""

import csv
import io
import re
from collections.abc import Iterable, Sequence

from mammo_tf.errors import DataError, UserError
from mammo_tf.ingest import Rejection

FILE_NAME = "quarantine.csv"
HEADER = ("row", "record", "reason")
MAX_ROWS_SHOWN = 5  # for each reason, in a message
MAX_REASONS_SHOWN = 5
_ROW_NUMBER = re.compile(r"row \d+", re.ASCII)


def count_records(rejections: Iterable[Rejection]) -> int:
    """Counts the unusable records behind `rejections`; one may have several bad rows."""
    return len({one.record or one.row for one in rejections if not one.is_note})


class Quarantine:
    """Collects rejected records and stops the build when there are too many.

    Args:
        total: How many records the raw data holds; known before the first is read.
        unit: What a record is, for messages: "study" or "image" as ("study", "studies").
        source: The file that `row` of a rejection counts in, e.g. "studies.csv".
        max_fraction: The greatest share of records that may be rejected, 0 to 1.
        strict: True to stop at the first.

    Raises:
        UserError: If `max_fraction` is not in 0..1.
    """

    def __init__(
        self,
        *,
        total: int,
        unit: tuple[str, str],
        source: str,
        max_fraction: float = 0.01,
        strict: bool = False,
    ):
        if not 0 <= max_fraction <= 1:
            raise UserError(
                f"`max_quarantine` must be a share from 0 to 1. Received: {max_fraction:g}."
            )
        self.total = total
        self.unit = unit
        self.source = source
        self.max_fraction = max_fraction
        self.strict = strict
        self.rejections: list[Rejection] = []

    def add(self, rejection: Rejection) -> None:
        """Lists a record.

        Raises:
            DataError: If `strict`, or if more than `max_fraction` of all are now unusable.
        """
        self.rejections.append(rejection)
        self._check(f"The last one: {self.source} row {rejection.row}: {rejection.reason}")

    def add_all(self, rejections: Sequence[Rejection]) -> None:
        """Lists what the table alone rules out, all of it before anything is said.

        Raises:
            DataError: As for `add`; the message tells rows and reasons.
        """
        self.rejections += rejections
        if rejections:
            self._check(f"{self.source}: {_summarize(rejections)}")

    @property
    def num_records(self) -> int:
        """How many records cannot be used; one may have several bad rows."""
        return count_records(self.rejections)

    @property
    def num_noted(self) -> int:
        """How many notes there are, on records that can be used or were never there."""
        return sum(rejection.is_note for rejection in self.rejections)

    def _check(self, what: str) -> None:
        if self.strict:
            unusable = any(not rejection.is_note for rejection in self.rejections)
            kind = "unusable" if unusable else "incomplete"
            raise DataError(f"Stopped at the first {kind} {self.unit[0]} (strict). {what}")
        count = self.num_records
        if count > self.max_fraction * self.total:
            raise DataError(
                f"Stopped: {count} of {self.total} {self.unit[1]} cannot be used, and at most "
                f"{self.max_fraction:.2%} may be (`mammo-tf data build --max-quarantine`). {what}"
            )

    def to_csv(self) -> str:
        """The list as CSV text, header first; only the header when nothing was rejected."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(HEADER)
        for rejection in sorted(self.rejections, key=lambda r: (r.row, r.record)):
            writer.writerow((rejection.row, rejection.record, rejection.reason))
        return text.getvalue()


def _summarize(rejections: Sequence[Rejection]) -> str:
    """The rows by their reason, most rows first; "row 7" in a reason does not make it another."""
    reasons: dict[str, list[Rejection]] = {}
    for rejection in sorted(rejections, key=lambda rejection: rejection.row):
        kind = _ROW_NUMBER.sub("another row", rejection.reason.rstrip("."))
        reasons.setdefault(kind, []).append(rejection)
    parts = []
    for kind, found in sorted(reasons.items(), key=lambda item: -len(item[1])):
        reason = found[0].reason.rstrip(".") if len(found) == 1 else kind
        parts.append(f"{rows_text([rejection.row for rejection in found])}: {reason}")
    more = len(parts) - MAX_REASONS_SHOWN
    return "; ".join(parts[:MAX_REASONS_SHOWN]) + (f"; {more} other reasons." if more > 0 else ".")


def rows_text(rows: Sequence[int]) -> str:
    """Names some rows: "row 2", or "rows 2, 3, 5, 8, 9 and 12 more"."""
    if len(rows) == 1:
        return f"row {rows[0]}"
    more = len(rows) - MAX_ROWS_SHOWN
    shown = ", ".join(map(str, rows[:MAX_ROWS_SHOWN]))
    return f"rows {shown}" + (f" and {more} more" if more > 0 else "")
