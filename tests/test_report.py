"""The report page: self-contained, escaped, and with real pictures."""

import base64
import csv
import html.parser
import io
import re

import numpy as np
import pytest
from PIL import Image

from mammo_tf.evaluation import Estimate, ScoredFold
from mammo_tf.report import Figure, Section, Table, figures, render_page


def folds(seed=0):
    rng = np.random.default_rng(seed)
    labels = np.repeat([0, 1], 30)
    return [ScoredFold(labels, rng.normal(size=60) + labels, np.arange(60)) for _ in range(3)]


PICTURES = {
    "roc": lambda: figures.roc_figure({"CR1": folds(1), "CR1K": folds(2)}),
    "pr": lambda: figures.pr_figure({"CR1": folds(1)}, prevalence=0.5),
    "metric": lambda: figures.metric_figure(
        {
            "here": {1: Estimate(0.8, 0.7, 0.9), 100: Estimate(0.7, 0.6, 0.8)},
            "paper": {1: (0.87, 0.85, 0.89)},
        },
        "AUROC",
    ),
    "psnr": lambda: figures.psnr_figure({1: [100.0, 100.0], 20: [50.0, 55.0]}),
    "matrix": lambda: figures.matrix_figure(
        np.array([[0.8, np.nan], [0.6, 0.7]]), ["M-CR1", "M-CR5K"], ["CR1", "CR5K"], "AUROC"
    ),
    "patches": lambda: figures.patches_figure(
        np.arange(4800).reshape(80, 60),
        (10, 20, 16, 16),
        [("CR1", np.ones((16, 16)))] * 5,
        (18, 28, 5),
    ),
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_figure_is_a_png_with_something_on_it(name):
    head, _, body = PICTURES[name]().partition(",")
    assert head == "data:image/png;base64"
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(body))).convert("L"))
    assert min(pixels.shape) > 150
    assert pixels.std() > 5


@pytest.mark.parametrize(
    ("cratio", "name"),
    [(1, "CR1"), (500, "CR500"), (1000, "CR1K"), (11000, "CR11K"), (1500, "CR1500")],
)
def test_compression_ratios_are_named_as_in_the_paper(cratio, name):
    assert figures.cratio_name(cratio) == name


def test_the_page_is_whole_escaped_and_fetches_nothing():
    page = render_page(
        title="A <phantom> study",
        subtitle="5 & 3",
        warnings=["Synthetic"],
        sections=[
            Section(
                "Table <1>",
                ["<script>alert(1)</script>"],
                [Table(["CR", "AUROC"], [["CR1", "0.87"]], "AUROC"), Figure(PICTURES["psnr"]())],
            )
        ],
        details={"Configuration": '{"seed": 1}'},
    )
    assert "<script" not in page
    assert "A &lt;phantom&gt; study" in page
    assert not re.search(r'(?:src|href)="(?!data:|#)', page)
    assert "url(" not in page
    parser = html.parser.HTMLParser()
    parser.feed(page)
    parser.close()


TABLE = Table(
    ["CR", "Change of AUROC", "p"],
    [["CR1", "reference", ""], ["CR1K & more", "-0.05 (-0.08, +0.01)", "<0.001"]],
    "95 % intervals; A_1.",
)


class Links(html.parser.HTMLParser):
    """Places that can be jumped to, links to them, and files offered."""

    def __init__(self, page):
        super().__init__()
        self.places, self.links, self.files = [], [], {}
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.places += [attributes["id"]] if "id" in attributes else []
        target = attributes.get("href", "")
        if target.startswith("#"):
            self.links.append(target[1:])
        elif "download" in attributes:
            content = base64.b64decode(target.partition("base64,")[2]).decode()
            self.files[attributes["download"]] = content


def page_of(*sections, **options):
    return render_page(title="T", subtitle="S", sections=sections, **options)


def test_the_contents_lead_to_every_section_once():
    page = page_of(
        Section("Curves"), Section("Curves"), Section("Größe"), Section("To run it again"),
        details={"Configuration": "{}"},
    )  # fmt: skip
    links = Links(page)
    assert links.links == links.places
    assert len(set(links.places)) == 5
    assert all(re.fullmatch(r"[a-z0-9-]+", name) for name in links.places)


def test_the_answer_stands_before_everything_but_the_warnings():
    page = page_of(Section("Body"), answer=["Up to CR20.", "More."], warnings=["PHANTOM"])
    assert (
        page.index("PHANTOM") < page.index("Up to CR20.") < page.index("<nav") < page.index("Body")
    )


def test_a_table_can_be_taken_as_csv():
    files = Links(page_of(Section("All CRs", (), [TABLE, TABLE]))).files
    assert set(files) == {"all-crs1.csv", "all-crs1.tex", "all-crs2.csv", "all-crs2.tex"}
    rows = list(csv.reader(io.StringIO(files["all-crs1.csv"])))
    assert rows == [TABLE.header, *TABLE.rows]


def test_a_table_can_be_taken_as_latex():
    text = Links(page_of(Section("T", (), [TABLE]))).files["t.tex"]
    assert text.splitlines() == [
        r"\begin{table}",
        r"\caption{95 \% intervals; A\_1.}",
        r"\begin{tabular}{lrr}",
        r"\hline",
        r"CR & Change of AUROC & p \\",
        r"\hline",
        r"CR1 & reference &  \\",
        r"CR1K \& more & $-$0.05 ($-$0.08, +0.01) & $<$0.001 \\",
        r"\hline",
        r"\end{tabular}",
        r"\end{table}",
    ]


def test_what_a_picture_shows_is_said_to_those_who_cannot_see_it():
    page = page_of(Section("T", (), [Figure("data:image/png;base64,", "Caption", alt="CR1 0.8")]))
    assert 'alt="CR1 0.8"' in page and "<figcaption>Caption" in page
