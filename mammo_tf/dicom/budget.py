"""How much of a DICOM header is parsed before it is given up: pydicom itself has no bound."""

import io

from mammo_tf import limits

_CHARACTER_SETS = (b"\x08\x00\x05\x00", b"\x00\x08\x00\x05")  # (0008,0005) in either byte order


class TooCostlyError(Exception):
    """Parsing would take longer, or more memory, than any mammogram's header does."""


class Budget:
    """Reads left for one file, shared by its meta information, data set and sequences.

    Attributes:
        is_exceeded: Whether the file has been given up.
    """

    def __init__(self, num_reads: int = limits.MAX_HEADER_READS):
        self._left = num_reads
        self.is_exceeded = False

    def spend(self) -> None:
        """Counts one read.

        Raises:
            TooCostlyError: If none is left.
        """
        if not self.has_left():
            self.refuse()

    def has_left(self) -> bool:
        """Counts one read; returns whether it was still allowed."""
        self._left -= 1
        return self._left >= 0

    def refuse(self) -> None:
        """Gives the file up; pydicom may turn the exception into another."""
        self.is_exceeded = True
        raise TooCostlyError


class MeteredStream(io.BytesIO):
    """Bytes to parse; every read is counted, since each element takes one or two."""

    def __init__(self, content: bytes, budget: Budget):
        super().__init__(content)
        self._budget = budget
        self._tag = b""

    def read(self, size: int | None = -1, /) -> bytes:
        """Reads like a file.

        Raises:
            TooCostlyError: If the budget is used up, or pydicom would split a Specific Character
                Set of megabytes into its values; it does that at once, wanted or not.
        """
        self._budget.spend()
        if self._tag in _CHARACTER_SETS and (size or 0) > limits.MAX_VALUE_BYTES:
            self._budget.refuse()
        content = super().read(size)
        if size == 8:  # how pydicom reads the start of every element
            self._tag = content[:4]
        return content
