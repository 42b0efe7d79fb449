"""Reports: tables, figures and one HTML page a run."""

from mammo_tf.report.page import Figure, Section, Table, render_page

__all__ = ["Figure", "Section", "Table", "render_page"]
