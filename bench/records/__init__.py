"""The only truth: one JSON file a run, from which every table, figure and page is made. No torch.

- store: writes and reads records. schema: what a record is, field by field.
- protocol: its number, and what each has changed.
- outcomes: what became of every test sample, compressed, and metrics made from it again.
- weights: files of kept weights beside the records.
- environment: where a run took place: processor, versions, commit.
"""

from bench.records.protocol import PROTOCOL
from bench.records.schema import PHASES, STATUSES
from bench.records.store import JOURNAL, Records, at_scale, run_id, write_atomically
