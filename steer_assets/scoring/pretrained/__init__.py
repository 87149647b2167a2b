"""Scorers based on pretrained sequence classifiers."""
