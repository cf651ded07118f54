"""What a measurement leaves: results, tables, files, plots, regressions and advice."""
