"""From files of reports to the observation table. Unit objects stop here; nothing in a file may stop the rest of it."""
