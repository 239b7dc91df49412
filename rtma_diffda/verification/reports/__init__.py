"""Pictures and pages: maps, graphs of scores, and the HTML report. The only place that draws."""
