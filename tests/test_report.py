"""The report page: self-contained, escaped, and with real pictures."""

import base64
import csv
import datetime
import html.parser
import io
import json
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from mammo_tf.evaluation import Estimate, ScoredFold
from mammo_tf.report import Figure, Link, Section, Table, curves, figures, render_page, style
from mammo_tf.report.details import made_when
from mammo_tf.report.learning import MAX_PANELS, learning_section, read_trainings
from mammo_tf.report.patches import patches_figure


def folds(seed=0):
    rng = np.random.default_rng(seed)
    labels = np.repeat([0, 1], 30)
    return [ScoredFold(labels, rng.normal(size=60) + labels, np.arange(60)) for _ in range(3)]


GAN = [
    {"epoch": 1, "perceptual": 1.0},
    {"epoch": 2, "discriminator": 0.7},
    {"epoch": 3, "discriminator": 0.6, "perceptual": 0.8},
]
PICTURES = {
    "roc": lambda: curves.roc_figure({"CR1": folds(1), "CR1K": folds(2)}),
    "pr": lambda: curves.pr_figure({"CR1": folds(1)}, prevalence=0.5),
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
    "losses": lambda: curves.losses_figure({"fold 0": GAN, "fold 1": GAN[:1]}),
    "patches": lambda: patches_figure(
        np.arange(4800).reshape(80, 60),
        (10, 20, 16, 16),
        [("CR1", np.ones((16, 16)))] * 5,
        (18, 28, 5),
    ),
}


def svg_of(uri):
    head, _, body = uri.partition(",")
    assert head == "data:image/svg+xml;base64"
    return base64.b64decode(body).decode()


@pytest.mark.parametrize("name", PICTURES)
def test_a_figure_is_an_svg_that_follows_the_page(name):
    svg = svg_of(PICTURES[name]())
    root = ElementTree.fromstring(svg)
    assert root.tag.endswith("}svg") and len(re.findall("<path|<image", svg)) > 5
    assert "prefers-color-scheme:dark" in svg and "var(--ink)" in svg
    # No text, axis or ground keeps a colour that a dark page would swallow.
    body = svg[svg.index("</style>") :]
    assert style.INK not in body
    assert not re.search(r'id="patch_1">\s*<path[^>]*fill: #ffffff', body)
    assert "opacity: 0.8" not in body  # a legend's white box


def contrast(one, other):
    """WCAG 2.1: (L1 + 0.05) / (L2 + 0.05), L the relative luminance."""
    light = []
    for colour in (one, other):
        parts = np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)]) / 255
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        light.append(linear @ [0.2126, 0.7152, 0.0722])
    return (max(light) + 0.05) / (min(light) + 0.05)


def test_the_contrast_is_wcag_s():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)  # a known example


@pytest.mark.parametrize("colour", [*style.PALETTE, style.NEUTRAL])
@pytest.mark.parametrize("ground", style.BACKGROUNDS.values())
def test_every_colour_is_seen_on_both_pages(colour, ground):
    assert contrast(colour, ground) >= 3


def test_the_page_has_the_grounds_that_the_palette_was_made_for():
    grounds = re.findall("--ground: (#[0-9a-f]+)", page_of(Section("T")))
    assert grounds[:2] == ["#fff", style.BACKGROUNDS["dark"]]


def test_lines_are_told_apart_without_colour():
    looks = [(str(line["linestyle"]), line["marker"]) for line in map(style.line_style, range(11))]
    assert len(set(looks)) == 11


def test_more_than_four_roc_curves_have_a_panel_each():
    def panels(count):
        drawn = curves.roc_figure({f"CR{k}": folds(k) for k in range(1, count + 1)})
        return len(re.findall(r'id="axes_\d+"', svg_of(drawn)))

    assert [panels(4), panels(5)] == [1, 5]


def test_each_loss_has_a_panel_and_no_point_where_it_was_not_computed():
    drawn = svg_of(curves.losses_figure({"fold 0": GAN}))
    assert len(re.findall(r'id="axes_\d+"', drawn)) == 2
    assert [len(re.findall("[ML] ", path)) for path in _coloured(drawn)] == [2, 2]
    alone = svg_of(curves.losses_figure({"fold 0": GAN, "fold 1": GAN[:1]}))
    assert [len(re.findall("[ML] ", path)) for path in _coloured(alone)] == [2, 1, 2]


def _coloured(svg):
    """The paths of lines in a colour of the palette."""
    axes = svg.split('id="legend_1"')[0]
    found = re.findall(r'<path d="([^"]+)" clip-path[^>]+stroke: (#[0-9a-f]{6})', axes)
    return [path for path, colour in found if colour in style.PALETTE]


def test_the_paper_s_eleven_ratios_are_equally_far_apart():
    ratios = (1, 15, 20, 25, 50, 100, 500, 1000, 5000, 10000, 11000)
    points = {cratio: Estimate(0.8, 0.7, 0.9) for cratio in ratios}
    svg = svg_of(figures.metric_figure({"here": points}, "AUROC"))
    ticks = re.findall(r'id="xtick_\d+">.*?<use [^>]*?x="([\d.]+)"', svg, re.DOTALL)
    steps = np.diff([float(x) for x in ticks])
    assert len(ticks) == 11 and steps == pytest.approx(np.full(10, steps[0]), rel=1e-3)


def test_every_patch_is_framed_and_a_flat_one_says_so(monkeypatch):
    titles = []
    monkeypatch.setattr("matplotlib.axes.Axes.set_title", lambda _, text, **__: titles.append(text))
    grey = np.arange(256).reshape(16, 16)
    patches = [("CR1", grey), ("CR2K", np.full((16, 16), 9)), ("CR3K", grey + 200)]
    svg = svg_of(patches_figure(np.ones((80, 60)), (10, 20, 16, 16), patches))
    assert titles == ["CR1", "CR2K\none grey value", "CR3K\nbeyond the grey scale"]
    for number in range(1, 5):  # the whole image and three patches: four sides each
        axes = svg.split(f'id="axes_{number}"')[1].split('id="axes_')[0]
        assert len(re.findall(r"stroke: var\(--ink\)", axes)) == 4


def test_identical_images_are_no_point_of_the_psnr():
    svg = svg_of(figures.psnr_figure({1: [100.0], 20: [60.0], 30: [50.0]}))
    words = re.findall("<!-- (.+?) -->", svg)
    assert "identical" in words and not any("100" in word for word in words)


def write_cell(run_dir, name, losses, **record):
    folder = run_dir / "cells" / name
    folder.mkdir(parents=True)
    (folder / "history.json").write_text(json.dumps(losses))
    (folder / "cell.json").write_text(json.dumps(record))


class TestLearning:
    @pytest.fixture
    def run_dir(self, tmp_path):
        losses = [{"epoch": 1, "loss": 2.0, "val_loss": 3.0}, {"loss": 1.0, "val_loss": 4.0}]
        write_cell(tmp_path, "cnn3-cr100-fold0", losses, best_epoch=2, seconds=60)
        write_cell(tmp_path, "cnn3-cr15-fold1-repeat2", losses, best_epoch=1, seconds=90)
        write_cell(tmp_path, "cnn3-cr15-fold0", losses[:1], best_epoch=1, seconds=30)
        write_cell(tmp_path, "ssd300_patient-fold0", [{"loss": 5.0}], best_epoch=1, seconds=None)
        (tmp_path / "cells" / "torn").mkdir()
        (tmp_path / "cells" / "torn" / "history.json").write_text("[")
        return tmp_path

    def test_cells_of_one_network_stand_together(self, run_dir):
        groups = read_trainings(run_dir)
        assert {name: len(group) for name, group in groups.items()} == {
            "cnn3-cr15": 2,
            "cnn3-cr100": 1,
            "ssd300_patient": 1,
        }
        figure, table = learning_section(groups).parts
        assert svg_of(figure.data_uri).count('id="axes_') == 3
        assert table.rows[0] == ["cnn3-cr15", "2", "1 to 2", "1", "30 to 90"]
        assert table.rows[2] == ["ssd300_patient", "1", "1", "1", "–"]

    def test_the_time_is_that_of_all_trainings(self, run_dir):
        now = datetime.datetime(2026, 3, 4, 5, 6, tzinfo=datetime.UTC)
        said = made_when(read_trainings(run_dir), now)
        assert said == "Written 2026-03-04 05:06 UTC; 4 trainings took 3 min together."
        assert made_when({}, now) == "Written 2026-03-04 05:06 UTC; nothing was trained."

    def test_many_networks_are_cut_off_and_it_is_said(self, run_dir):
        (group, *_) = read_trainings(run_dir).values()
        groups = {f"n{k}": group for k in range(MAX_PANELS + 1)}
        assert "The first 12 of 13" in learning_section(groups).parts[0].caption
        assert learning_section({}) is None


def test_sources_files_and_date_stand_on_the_page():
    page = page_of(
        Section("T"), made="Written today", links=[Link("Paper", "https://doi.org/10.1/x"), None],
        files={"summary.csv": "a,b\n1,2\n"},
    )  # fmt: skip
    assert '<a href="https://doi.org/10.1/x">Paper</a>' in page and "Written today" in page
    assert Links(page).files == {"summary.csv": "a,b\n1,2\n"}


def test_a_caption_does_not_scroll_with_its_table():
    page = page_of(Section("T", (), [TABLE]))
    assert page.index(TABLE.caption) < page.index('<div class="scroll"') < page.index("<table>")
    label = re.search('aria-labelledby="([^"]+)"', page)[1]
    assert f'id="{label}">{TABLE.caption}' in page


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
    assert not re.search(r'src="(?!data:)|<link|href="(?!data:|#|https?://)', page)
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
    assert links.links == [name for name in links.places if not name.startswith("caption-")]
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
