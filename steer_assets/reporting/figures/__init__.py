"""Figures: the common style, charts by theme, SVG and thumbnails."""
