"""Figures. `catalogue` says which are drawn of a study; each kind is a file.

To add one: a file with a function that returns a `Canvas`, and its line in `catalogue`.

- canvas: a figure with heading and footnotes. cache: which need not be drawn again. drawn: a figure on disk.
- axis, labels, lines, points: what figures are made of.
- the others: a kind of figure each.
"""
