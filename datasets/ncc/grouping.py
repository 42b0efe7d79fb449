"""Which rows of studies.csv are one patient's, and which one study."""

from collections.abc import Callable

from mammo_tf.datasets.ncc import ids
from mammo_tf.datasets.ncc.header import FILE_NAME
from mammo_tf.datasets.ncc.table import Row
from mammo_tf.datasets.quarantine import rows_text


def group_rows(
    rows: list[Row], join_ids: bool, note: Callable[[str], None]
) -> dict[tuple[str, str], list[Row]]:
    """Finds which rows are one study.

    Args:
        rows: The rows that have a patient.
        join_ids: Whether ids that differ in their spelling only are one patient.
        note: Called with a line for the user about such ids.

    Returns:
        Maps (patient, study) to their rows, in the order of their first rows.
    """
    _note_rounded(rows, note)
    patients = {row.patient_id: ids.normalize_id(row.patient_id) for row in rows}
    same = ids.several_spellings(patients.values())
    _note_spellings("patient_id", rows, patients, same, join_ids, note)
    if join_ids:
        patients = {text: same.get(form, form) for text, form in patients.items()}
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        study = ids.normalize_id(row.study_id or row.patient_id)
        groups.setdefault((patients[row.patient_id], study), []).append(row)
    return _join_studies(groups, note) if join_ids else groups


def _join_studies(groups, note) -> dict[tuple[str, str], list[Row]]:
    """Joins one patient's studies whose ids differ in their spelling only.

    Without a study_id, each spelling of the patient's id may have been a study of its own: they
    are joined only where together they hold no view twice.
    """
    joined: dict[tuple[str, str], list[tuple[str, list[Row]]]] = {}
    for (patient, study), lines in groups.items():
        joined.setdefault((patient, ids.spelling_key(study)), []).append((study, lines))
    result = {}
    for (patient, _), parts in joined.items():
        together = sorted((row for _, lines in parts for row in lines), key=lambda row: row.number)
        places = [(row.laterality[:1].upper(), row.view.upper()) for row in together]
        if len(parts) > 1 and not together[0].study_id and len(set(places)) < len(places):
            result |= {(patient, study): lines for study, lines in parts}
        else:
            result[patient, min(study for study, _ in parts)] = together
    return dict(sorted(result.items(), key=lambda item: item[1][0].number))


def _note_spellings(column, rows, forms, same, join_ids, note) -> None:
    if len(set(forms.values())) < len(forms):
        note(f"{FILE_NAME}: values of {column} that differ only in Unicode's form are one.")
    if not same:
        return
    first: dict[str, list[int]] = {}
    seen = set()
    for row in rows:
        form = forms[row.patient_id]
        if form in same and form not in seen:
            seen.add(form)
            first.setdefault(same[form], []).append(row.number)
    example = " and ".join(map(str, next(iter(first.values()))[:2]))
    what = (
        f"{FILE_NAME}: {ids.one_of_each(same)} values of {column} are written in several ways "
        f"that differ only in leading zeros, '.0', case or Unicode's form (e.g. rows {example})."
    )
    if join_ids:
        note(f"{what} They are taken for one patient each (--join-ids).")
        return
    note(
        f"{what} Each spelling counts as another patient, so one woman may come into two splits. "
        "Mend the table, or take them for one patient: mammo-tf data build ncc --join-ids."
    )


def _note_rounded(rows: list[Row], note: Callable[[str], None]) -> None:
    rounded = [row.number for row in rows if ids.is_rounded(row.patient_id)]
    if rounded:
        note(
            f"{FILE_NAME} {rows_text(rounded)}: patient_id looks like 1.23E+11, a number that a "
            "spreadsheet has rounded; different patients may have become one. Format the column as "
            "text and export it again."
        )
