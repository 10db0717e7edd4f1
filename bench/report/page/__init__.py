"""Pages.

- study_page: README.md of a study. html: the same as one offline file, report.html; interactive: its scatter.
- answer, tuning, runs: their parts. A new part is a file here, and a line in study_page (and in the template of html).
"""
