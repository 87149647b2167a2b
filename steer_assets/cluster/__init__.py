"""Runs on a cluster: their resources, the queue, and Ray as launcher; nothing here is a default."""
