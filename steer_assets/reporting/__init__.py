"""Reports, figures, index page and tables, made from the rows of the warehouse alone."""
