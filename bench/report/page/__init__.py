"""Pages: study_page (README.md of a study), html (report.html), and their parts: answer, tuning, runs, interactive."""
