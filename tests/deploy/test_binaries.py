"""Binaries are what their sums say, or are not there."""

import pytest

from tests.deploy.charts import run
from tools import binaries


def test_the_version_is_the_one_that_is_named() -> None:
    for helm in binaries.HELMS:
        assert f'"v{helm.version}"' in run(helm, "version").stdout


def test_what_is_not_as_its_sum_says_is_not_taken() -> None:
    with pytest.raises(binaries.Unavailable, match="helm is not what its sum says"):
        binaries._checked(b"something else", binaries.HELMS[0].sum, "helm")
