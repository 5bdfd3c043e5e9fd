"""Every metric of the package keeps the contract that others are held to."""

from __future__ import annotations

import pytest

from deepchem_ead.metrics import METRICS
from deepchem_ead.testing import MetricTests


@pytest.fixture(scope="class", params=[name for name in METRICS])
def each(request):
    request.cls.metric = request.param


@pytest.mark.usefixtures("each")
class TestMetrics(MetricTests):
    metric = ""


class TestStrict(MetricTests):
    metric = "validity"
    options = {"protocol": "strict"}
