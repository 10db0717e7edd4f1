"""Pages.

- content: what the pages of a study say, computed once. study_page: README.md. html: report.html, one offline file.
- answer, summary, priced, tuning, old_task, robustness, runs: their parts; interactive: the scatter of html. A new part
  is a file here, and a line in study_page (and in the template of html).
- own_data: the page of data of one's own; own_html: the same for a browser. next_steps: what to do then.
- index: README.md and index.html over all studies. published_page: memory against published figures.
"""
