"""Figures: one look, charts by theme, SVG and thumbnails."""
