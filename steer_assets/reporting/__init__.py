"""Reports, figures, index page and tables, computed only from rows of the warehouse."""
