"""A report's table as text for a spreadsheet or a manuscript."""

import base64
import csv
import io
import re
import unicodedata

_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"$<$",
    ">": r"$>$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "−": r"$-$",
    "–": "--",
    "—": "---",
    "…": r"\ldots{}",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "\N{NO-BREAK SPACE}": "~",
}


def to_csv(table) -> str:
    """Returns a `Table` as CSV, the header first; the caption is left out."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(table.header)
    writer.writerows(table.rows)
    return stream.getvalue()


def to_latex(table) -> str:
    """Returns a `Table` as a LaTeX `tabular` in a `table`, which needs no package.

    Signs that LaTeX reads as its own are escaped; numbers with a sign are set as such.
    """
    columns = "l" + "r" * (len(table.header) - 1)
    lines = [_latex_row(table.header), r"\hline", *map(_latex_row, table.rows)]
    caption = [rf"\caption{{{escape_latex(table.caption)}}}"] if table.caption else []
    return "\n".join(
        [
            r"\begin{table}",
            *caption,
            rf"\begin{{tabular}}{{{columns}}}",
            r"\hline",
            *lines,
            r"\hline",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def escape_latex(text: str) -> str:
    r"""Returns text with the signs that LaTeX reads as its own escaped.

    Examples:
        >>> escape_latex("95 % & more")
        '95 \\% \\& more'
    """
    return "".join(_LATEX.get(sign, sign) for sign in text)


def slug(text: str) -> str:
    """Returns a name for links and files: "The ROC curves" is "the-roc-curves"."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-") or "part"


def data_uri(text: str, kind: str) -> str:
    """Returns text as a link's target, so that a page can offer it as a file.

    Args:
        text: Content of the file.
        kind: Media type, e.g. "text/csv".
    """
    content = base64.b64encode(text.encode("utf-8")).decode("ascii")
    return f"data:{kind};charset=utf-8;base64,{content}"


def _latex_row(cells) -> str:
    return " & ".join(map(_latex_cell, cells)) + r" \\"


def _latex_cell(cell: str) -> str:
    return re.sub(r"(?<![\w.])-(?=\d)", "$-$", escape_latex(cell))
