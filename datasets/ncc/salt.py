"""The secret that turns patient ids into keys: kept beside studies.csv, never in the data set."""

import hashlib
import os
import secrets
import sys
from pathlib import Path

from mammo_tf.errors import UserError

VARIABLE = "MAMMO_TF_SALT"
FILE_NAME = "salt.txt"
MIN_CHARACTERS = 16
MAX_CHARACTERS = 1024


def find_salt(folder: Path) -> str | None:
    """Returns the salt from the environment or from salt.txt; None if there is neither.

    Raises:
        UserError: If it is too short to protect anything, or cannot be read.
    """
    salt, where = os.environ.get(VARIABLE, ""), f"the variable {VARIABLE}"
    path = folder / FILE_NAME
    if not salt and path.exists():
        where = str(path)
        try:
            with path.open(encoding="utf-8") as file:
                salt = file.read(MAX_CHARACTERS + 2)
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"Cannot read the salt in {where}: {type(error).__name__}.") from None
    elif not salt:
        return None
    salt = salt.strip()
    if not MIN_CHARACTERS <= len(salt) <= MAX_CHARACTERS:
        raise UserError(
            f"The salt in {where} must have {MIN_CHARACTERS} to {MAX_CHARACTERS} characters. "
            f"Received: {len(salt)}. Use one made by: openssl rand -hex 32"
        )
    return salt


def find_or_create_salt(folder: Path) -> str:
    """Returns the salt, making salt.txt (readable by its owner only) where there is none.

    Raises:
        UserError: If there is none and none can be written.
    """
    salt = find_salt(folder)
    if salt is not None:
        return salt
    path = folder / FILE_NAME
    salt = secrets.token_hex(32)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise UserError(
            f"Patient ids are hidden with a secret, and {path} cannot be written "
            f"({error.strerror}). Set the variable {VARIABLE} to one made by: openssl rand -hex 32"
        ) from None
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(salt + "\n")
    print(
        f"Made {path}, the secret that hides patient ids. Keep it private: the same salt gives "
        "the same keys, and whoever has it can test guesses of an id.",
        file=sys.stderr,
    )
    return salt


def fingerprint_key(salt: str) -> bytes:
    """A key for fingerprints of the raw data, from which the salt cannot be found."""
    return hashlib.sha256(b"mammo_tf fingerprint " + salt.encode()).digest()
