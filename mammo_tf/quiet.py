"""TensorFlow without its start-up chatter, so that a user's mistake stays one line."""

import os
import sys
import tempfile


def import_tensorflow():
    """Imports TensorFlow for a command; what it writes meanwhile is shown only if that fails.

    Its C++ log is limited to errors that stop it, unless TF_CPP_MIN_LOG_LEVEL says otherwise.

    Returns:
        The module `tensorflow`.

    Raises:
        ImportError: If TensorFlow does not load.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # TensorFlow leaves oneDNN off on some processors; CNN3 trains up to three times faster with
    # it, and as reproducibly. The last digits differ, so a run folder notes which it was.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as chatter:
        os.dup2(chatter.fileno(), 2)
        try:
            import tensorflow

            # It counts the grid's models as one that is traced too often.
            tensorflow.get_logger().setLevel("ERROR")
            return tensorflow
        except BaseException:
            chatter.seek(0)
            os.write(kept, chatter.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
