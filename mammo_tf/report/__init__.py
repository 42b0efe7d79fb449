"""Reports: tables, figures and one HTML page a run."""

from mammo_tf.report.page import Figure, Link, Section, Table, render_page

__all__ = ["Figure", "Link", "Section", "Table", "render_page"]
