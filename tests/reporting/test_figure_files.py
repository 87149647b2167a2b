"""Figures as files: SVG, PDF and the data behind them."""

import xml.etree.ElementTree as ET
from pathlib import Path

import polars as pl

from steer_assets.reporting.figures.figure import Figure, write_figures


def test_files_are_written_with_their_data_and_without_dates(
    figures: dict[str, Figure], tmp_path: Path
):
    chosen = [figures["efficacy_layers"], figures["null_fraction"]]
    paths = write_figures(chosen, tmp_path / "a")
    again = write_figures(chosen[:1], tmp_path / "b")
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == sorted(p.name for p in paths)
    assert [p.suffix for p in paths] == [".svg", ".pdf", ".csv"] * 2
    for first, second in zip(paths[:3], again, strict=True):
        assert first.read_bytes() == second.read_bytes()
    standalone = paths[0].read_text()
    assert "var(--" not in standalone
    assert ET.fromstring(standalone.encode()).get("width", "").endswith("pt")
    assert paths[1].read_bytes().startswith(b"%PDF")
    assert b"CreationDate" not in paths[1].read_bytes()
    assert pl.read_csv(paths[2])["effect_sd"].to_list() == chosen[0].data["effect_sd"].to_list()


def test_only_its_own_folder_is_swept(figures: dict[str, Figure], tmp_path: Path):
    write_figures([figures["forest"], figures["scorers"]], tmp_path, pdf=False)
    (tmp_path / "notes.txt").write_text("mine")
    write_figures([figures["forest"]], tmp_path, pdf=False, all_there_is=False)
    assert (tmp_path / "scorers.svg").exists()
    write_figures([figures["forest"]], tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "forest.csv", "forest.pdf", "forest.svg", "notes.txt",
    ]  # fmt: skip
    # A PDF beside newer files would be of an earlier report.
    write_figures([figures["forest"]], tmp_path, pdf=False)
    assert not (tmp_path / "forest.pdf").exists()
