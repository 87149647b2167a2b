"""Bootstrap and jackknife intervals."""
