"""Names the data sets that are built in a folder, for messages about one that is not."""

from pathlib import Path

MAX_NAMES_SHOWN = 8


def list_built(root: Path, name: str) -> list[str]:
    """Lists what is built of a data set.

    Args:
        root: Folder of data sets (TFDS's `data_dir`).
        name: The data set, e.g. "mini_mias".

    Returns:
        Such as "mini_mias/ladder_1_100/1.0.0", sorted.
    """
    try:
        found = sorted(Path(root).glob(f"{name}/*/[0-9]*/dataset_info.json"))
    except OSError:  # a folder that may not be listed holds nothing for us
        return []
    return ["/".join(path.parts[-4:-1]) for path in found]


def describe_not_built(root: Path, full_name: str) -> str:
    """Says that a data set is not built, and what is there instead.

    Args:
        root: Folder of data sets.
        full_name: What was asked for, "name/configuration/version".

    Returns:
        One line that ends with a full stop.
    """
    name, _, version = full_name.split("/")
    built = list_built(root, name)
    current = [text.rpartition("/")[0] for text in built if _major(text) == _major(version)]
    older = [text for text in built if _major(text) != _major(version)]
    text = f"{full_name} is not built in {root}."
    if current:
        text += f" Built here: {_join(current)}."
    if older:
        text += (
            f" Built here by another version of mammo_tf: {_join(older)}; such records cannot be "
            "read any more, build them again from the raw files."
        )
    return text


def _major(text: str) -> str:
    return text.rpartition("/")[2].partition(".")[0]


def _join(names: list[str]) -> str:
    more = len(names) - MAX_NAMES_SHOWN
    return ", ".join(names[:MAX_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")
