"""PDF files for the tests, made on the spot."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import override

from fpdf import FPDF
from PIL import Image, ImageDraw


class Report(FPDF):
    """Pages with a running header, a page number at the foot and small pages to force breaks."""

    def __init__(self, running: str) -> None:
        super().__init__(format=(150, 90))
        self.running = running

    @override
    def header(self) -> None:
        self.set_font("helvetica", size=9)
        self.cell(0, 6, self.running, align="C", new_x="LMARGIN", new_y="NEXT")
        self.ln(4)

    @override
    def footer(self) -> None:
        self.set_y(-12)
        self.set_font("helvetica", size=8)
        self.cell(0, 8, f"Page {self.page_no()} of {{nb}}", align="C")


def report(
    paragraphs: Sequence[str], *, running: str = "Annals of Radium Studies", heading: str = ""
) -> bytes:
    """Return a PDF whose paragraphs run over page borders, with a heading in larger type."""
    pdf = Report(running)
    pdf.set_auto_page_break(True, margin=20)
    pdf.add_page()
    if heading:
        pdf.set_font("helvetica", style="B", size=18)
        pdf.multi_cell(0, 10, heading, new_x="LMARGIN", new_y="NEXT")
    pdf.set_font("helvetica", size=11)
    for paragraph in paragraphs:
        pdf.multi_cell(0, 6, paragraph, new_x="LMARGIN", new_y="NEXT")
        pdf.ln(5)
    return bytes(pdf.output())


def encrypted(text: str, *, user_password: str) -> bytes:
    """Return a PDF that needs `user_password` to be read ("" only forbids editing)."""
    pdf = FPDF()
    pdf.set_encryption(owner_password="owner", user_password=user_password)
    pdf.add_page()
    pdf.set_font("helvetica", size=12)
    pdf.multi_cell(0, 6, text)
    return bytes(pdf.output())


def scanned(text: str) -> bytes:
    """Return a PDF whose one page is a picture of the text, as a scanner makes it."""
    picture = Image.new("RGB", (400, 100), "white")
    ImageDraw.Draw(picture).text((10, 40), text, fill="black")
    data = io.BytesIO()
    picture.save(data, "PNG")
    pdf = FPDF()
    pdf.add_page()
    pdf.image(data, x=10, y=10)
    return bytes(pdf.output())
