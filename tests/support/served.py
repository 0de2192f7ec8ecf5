# SPDX-License-Identifier: Apache-2.0
"""The server that tests ask: the whole of mlxguard, or with MLXGUARD_TEST_SERVER=harness the gateway alone
with supervisor and workers played. Import `server` into a test module to have it there."""
import os

import pytest

if os.environ.get("MLXGUARD_TEST_SERVER") == "harness":
    from gateway_harness import Harness

    @pytest.fixture(scope="session")
    def server():
        with Harness() as running:
            yield running
            assert running.alive()
else:
    from conftest import server  # noqa: F401
