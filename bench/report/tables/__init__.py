"""Tables: tidy (`table.csv`), frames (for notebooks and papers), across (all groups), aggregates, costs, markdown."""
