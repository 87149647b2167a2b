"""Scorers on pretrained sequence classifiers."""
