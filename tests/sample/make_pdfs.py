"""Make the PDF files of `harvest/sample`: two pages each, with what real PDFs carry around a text.

    python tests/sample/make_pdfs.py harvest/sample

A running header and a page number stand on every page, one sentence runs over the page break, and
long words are broken by a hyphen at the end of a line (`|` below marks where a word may be broken).
The script is kept with the tests because it needs fpdf2, which is a dependency of developers only;
the files are committed, so a user needs neither. It writes the same bytes every time.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

from fpdf import FPDF

HEADER = "Sheaf sample encyclopaedia"
DATE = datetime(2026, 1, 1, tzinfo=UTC)
SOFT_HYPHEN = "\u00ad"

ARTICLES = {
    "otto-hahn": (
        "Otto Hahn",
        """
Otto Hahn was a German chemist and a pioneer of radio|chemistry. He was born in Frank|furt am Main
on 8 March 1879, the youngest son of a glazier. His parents wanted him to become an archi|tect, but
he did not care for drawing.

Hahn studied chemis|try at the Univer|sity of Marburg and received his doctor|ate in 1901; his
doctoral advisor was Theodor Zincke. In 1904 he joined William Ramsay at Univer|sity College London,
where he dis|covered radio|thorium. The following year he worked with Ernest Ruther|ford at McGill
Univer|sity in Mont|real. Hahn returned to Germany in 1906 and became an assis|tant of Emil Fischer
at the Univer|sity of Berlin.

In Berlin he met the physi|cist Lise Meit|ner. Their part|ner|ship lasted for thirty years, and in
1917 they dis|covered prot|actin|ium. Hahn became director of the Kaiser Wilhelm Insti|tute for
Chemis|try in 1928. In Decem|ber 1938 he and Fritz Strass|mann bom|barded uranium with neu|trons and
found barium. The two chemists did not dare to say that the nucleus had burst; that was done by
Meit|ner and Otto Frisch. For the dis|covery of nuclear fission Hahn received the Nobel Prize in
Chemis|try of 1944. He did not share it with Meit|ner.

Hahn married Edith Jung|hans in 1913. Their only son, Hanno Hahn, was born in 1922. At the end of
the war Hahn was held at Farm Hall in England, where he heard of the bomb on Hiro|shima. He was the
first presi|dent of the Max Planck Society, from 1948 to 1960. In 1966 Hahn, Meit|ner and
Strass|mann received the Enrico Fermi Award. Otto Hahn died in Göttin|gen on 28 July 1968.
""",
    ),
    "enrico-fermi": (
        "Enrico Fermi",
        """
Enrico Fermi was an Italian physi|cist who built the first nuclear reactor. He was born in Rome on
29 Septem|ber 1901, the third child of Alberto Fermi and Ida de Gattis.

Fermi studied at the Univer|sity of Pisa and received his doctor|ate in 1922; his doctoral advisor
was Luigi Pucci|anti. After stays in Göttin|gen with Max Born and in Leiden with Paul Ehren|fest he
became a profes|sor at the Univer|sity of Rome in 1926. Emilio Segrè, Edoardo Amaldi, Franco
Rasetti and Bruno Ponte|corvo belonged to his group.

In 1934 Fermi repeated the experi|ments of Irène and Frédéric Joliot-Curie with neu|trons in the
place of alpha parti|cles. In the same year he dis|covered that slow neu|trons are taken up much
more readily than fast ones. He believed that he had made elements beyond uranium. In fact he had
split the nucleus and did not notice it; Otto Hahn and Fritz Strass|mann showed this four years
later. Fermi received the Nobel Prize in Physics in 1938.

In 1928 he had married Laura Capon. Because she was Jewish, the family did not go home from
Stock|holm but left for the United States. Fermi worked at Colum|bia Univer|sity in New York and
later at the Univer|sity of Chicago. There his team started Chicago Pile-1, the first reactor, on
2 Decem|ber 1942. In 1944 he moved to the Los Alamos Labora|tory.

Fermi was awarded the Hughes Medal in 1942. After the war he was a profes|sor at the
Univer|sity of Chicago, and in 1950 he became a foreign member of the Royal Society. Enrico Fermi
died in Chicago on 28 Novem|ber 1954. The element fermium is named after him.
""",
    ),
}


class Article(FPDF):
    """A small page with a running header and a page number."""

    def __init__(self, title: str) -> None:
        super().__init__(format=(120, 165), unit="mm")
        self.set_title(title)
        self.set_author("Sheaf")
        self.set_creation_date(DATE)
        self.set_margins(14, 12, 14)
        self.set_auto_page_break(True, margin=18)
        self.heading = title

    def header(self) -> None:
        self.set_font("helvetica", "I", 8)
        self.cell(0, 5, f"{HEADER} - {self.heading}", align="R", new_x="LMARGIN", new_y="NEXT")
        self.ln(3)
        self.set_font("times", "", 11)

    def footer(self) -> None:
        self.set_y(-13)
        self.set_font("helvetica", "", 8)
        self.cell(0, 5, f"Page {self.page_no()} of 2", align="C")


def paragraphs(text: str) -> list[str]:
    """Return the paragraphs, each on one line, with soft hyphens for the marks."""
    parts = (" ".join(part.split()) for part in text.split("\n\n"))
    return [part.replace("|", SOFT_HYPHEN) for part in parts if part]


def make(folder: Path) -> None:
    """Write one PDF per article into `folder`."""
    for name, (title, text) in ARTICLES.items():
        pdf = Article(title)
        pdf.add_page()
        pdf.set_font("times", "B", 15)
        pdf.cell(0, 9, title, new_x="LMARGIN", new_y="NEXT")
        pdf.set_font("times", "", 11)
        for paragraph in paragraphs(text):
            pdf.multi_cell(0, 5.2, paragraph, align="L", new_x="LMARGIN", new_y="NEXT")
            pdf.ln(2)
        if pdf.page_no() != 2:
            raise SystemExit(
                f"{name} has {pdf.page_no()} pages, the footer says 2: change the text"
            )
        pdf.output(str(folder / f"{name}.pdf"))


if __name__ == "__main__":
    make(Path(sys.argv[1]))
