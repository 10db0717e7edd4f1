"""The only truth: one JSON file a run, from which every table, figure and page is made. No torch.

- store: writes, reads and checks records.
- environment: where a run took place: processor, versions, commit.
"""

from bench.records.store import JOURNAL, PHASES, PROTOCOL, STATUSES, Records, run_id, write_atomically
