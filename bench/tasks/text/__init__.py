"""Texts.

- task: classification (Text, TextCsv). sets: the declared ones. csv_files: one's own. tokens: texts as token ids.
- tfidf: the baseline without a network.
- glue, glue_sets: GLUE. squad, squad_read, squad_windows, squad_score: answers that are spans. hub_sets: the hub.
"""
