"""The plan tells what it understood of the data before anything takes time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.execution import data_report
from bench.study import Costs
from bench.tasks import ImageFolder, Images
from tests.support.tiny_study import STUDY

pytestmark = pytest.mark.usefixtures("own_cache")


def test_every_task_of_a_study_and_what_keeps_one_from_being_read(capsys, tmp_path):
    gone = ImageFolder(str(tmp_path / "gone"))
    data_report.show(replace(STUDY, tasks=(*STUDY.tasks, gone), retained=Images("digits")))
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("data of digits: ") and sum(line.startswith("data of digits") for line in told) == 2
    assert any(line.startswith("data of gone: no folder") for line in told)
    assert told[-1].startswith("repeats are looked for byte by byte") and "near-duplicates are not" in told[-1]
    data_report.show(replace(STUDY, costs=Costs()))
    assert capsys.readouterr().out == ""
