"""Scores that were given already, one line each, so that a killed run goes on where it was."""

import json
import math
import sys
import zlib
from pathlib import Path

from tqdm import tqdm

from mammo_tf.codecs.cratios import format_cratio
from mammo_tf.files import write_text


class ScoreStore:
    """A file of (case, compression ratio, score), to which every score is added at once.

    Each line has a checksum. What a kill or a damage left unreadable is said on stderr, dropped and
    scored anew.

    Args:
        folder: Folder of the file.
        key: What decides the scores: the scorer, how it is asked, and the data set. Other keys have
            other files.
    """

    def __init__(self, folder: str | Path, key: str):
        self.path = Path(folder) / f"{key}.jsonl"
        self._scores: dict[tuple[str, str], float] = {}
        lines = self.path.read_bytes().splitlines(keepends=True) if self.path.exists() else []
        whole = [line for line in lines if self._take(line)]
        if len(whole) < len(lines):
            tqdm.write(
                f"Damaged, scored anew: {len(lines) - len(whole)} lines of {self.path}",
                file=sys.stderr,
            )
        if len(whole) < len(lines) or not lines:
            write_text(self.path, b"".join(whole).decode("utf-8"))
        self._file = self.path.open("a", encoding="utf-8")

    def __enter__(self) -> "ScoreStore":
        return self

    def __exit__(self, *_exception) -> None:
        self._file.close()

    def get(self, case_id: str, cratio: float) -> float | None:
        """Returns a score; None where there is none yet."""
        return self._scores.get((case_id, format_cratio(cratio)))

    def add(self, case_id: str, cratio: float, score: float) -> None:
        """Keeps a score.

        Raises:
            OSError: If the disk is full or not writable.
        """
        entry = [case_id, format_cratio(cratio), score]
        self._file.write(_line(entry))
        self._file.flush()
        self._scores[case_id, entry[1]] = score

    def _take(self, line: bytes) -> bool:
        try:
            entry = json.loads(line.decode("utf-8").rsplit("\t", 1)[0])
            case_id, cratio, score = entry
            if _line(entry).encode("utf-8") != line or not math.isfinite(score):
                return False
        except (ValueError, TypeError):
            return False
        self._scores[case_id, cratio] = score
        return True


def _line(entry: list) -> str:
    text = json.dumps(entry)
    return f"{text}\t{zlib.crc32(text.encode('utf-8')):08x}\n"
