"""Station observations: the table, ingest, quality control, errors, operators and withholding."""
