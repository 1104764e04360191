"""What is taken from Airflow's configuration."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = (
    "from airflow_provider_seedance.operators.video import SeedanceGenerateVideoOperator as Operator\n"
    "from airflow_provider_seedance.sensors.asset import SeedanceAssetSensor as Sensor\n"
    "print(Operator(task_id='t', prompt='a cat').deferrable, Sensor(task_id='w', asset='asset-1').deferrable)"
)


@pytest.mark.parametrize(
    ("environment", "file", "deferrable"),
    [
        ({}, "", True),
        ({"AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE": "True"}, "", True),
        ({"AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE": "False"}, "", False),
        # Airflow writes this line into every file that it generates
        ({}, "[operators]\ndefault_deferrable = false\n", True),
    ],
)
def test_default_of_deferrable_follows_the_environment(
    environment: dict[str, str], file: str, deferrable: bool, tmp_path: Path
) -> None:
    (tmp_path / "airflow.cfg").write_text(file or "[core]\n")
    inherited = {name: value for name, value in os.environ.items() if "DEFERRABLE" not in name}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**inherited, "AIRFLOW_HOME": str(tmp_path), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-2:] == [str(deferrable)] * 2
