"""The app's memory settles over mixed requests; `benchmarks/soak.py` asks thousands."""

import sys

import psutil
import pytest
from conftest import ROOT
from entrances import served

sys.path.insert(0, str(ROOT / "benchmarks"))
from soak import soak, write_recordings

MOST_ADDED = 200  # MB over the app before its first request; 340 where freed memory is kept
MOST_GROWTH = 40  # MB from the half of the requests on


@pytest.mark.slow
@pytest.mark.serial
def test_memory_settles_over_mixed_requests(tmp_path):
    with served(EXAMPLES_DATA="/none") as (address, process):
        figures = soak(address, psutil.Process(process), write_recordings(tmp_path), 100)
    assert figures["lost"] == 0
    assert figures["mb"][-1] - figures["mb"][0] < MOST_ADDED, figures
    assert figures["mb"][-1] - figures["mb"][5] < MOST_GROWTH, figures
