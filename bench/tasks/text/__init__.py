"""Texts.

- task: classification (Text, TextCsv). sets: the declared ones. csv_files: one's own, from what
  tables (formats) and encodings read. columns: which of them are meant.
- tokens: texts as token ids. hub_sets: the Hugging Face hub. corruptions: typos and texts cut short.
- glue, glue_sets: GLUE and its metrics. squad, squad_read, squad_windows: answers that are spans; squad_metrics: their
  metrics.
- language: the next token, to count and to estimate memory, not to train.
"""
