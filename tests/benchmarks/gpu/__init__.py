"""What only a GPU can tell: memory as its allocator has it, steps against peft's, a study with two runs at once.

`make gpu-check` runs `__main__`, which runs the parts as processes of their own: `memory` (what is estimated beside
what is measured, cell by cell of `cells`), `steps`, `small_study`, and pytest for the tests marked gpu. `summary` reads
what they wrote.
"""
