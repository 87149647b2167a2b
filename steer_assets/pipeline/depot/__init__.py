"""Stages and a depot: what this host reads from it and stores there."""
