"""Tables.

- tidy: `table.csv`, one row a run, split and metric. dataframes: for notebooks, papers and the page.
- across: one table over all groups. aggregates: over tasks. costs: of a study of costs.
- recommended: what is recommended, beside what is not.
- classes: how unequal a task's classes are. markdown: how tables and numbers are written.
"""
