"""A depot: results of several hosts in an object store or a folder, beside each host's own disk."""
