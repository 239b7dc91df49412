"""Files: gridded sources, BUFR, tables, and our own archive and products. Nothing here decides what an analysis is."""
