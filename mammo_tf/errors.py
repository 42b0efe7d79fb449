"""What a user can get wrong. The command line shows these as one line and exits with code 2."""


class UserError(ValueError):
    """A mistake in an argument, a file or the set-up that the user can mend.

    The message says what was expected, what was received and what to do, in one line.
    """


class DataError(UserError):
    """A raw file or record that cannot be used: cut off, hostile, of the wrong kind or missing."""


class CodecError(UserError):
    """A JPEG 2000 stream that cannot be written or read, or a codec library that is missing."""


class WorkerDiedError(UserError):
    """A worker process ended before its time: memory ran out, or a library crashed."""
