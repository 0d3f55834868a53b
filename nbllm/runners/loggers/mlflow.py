"""MLflow, in a database beside the runs unless MLFLOW_TRACKING_URI names another place.

To look at it: mlflow ui --backend-store-uri sqlite:///runs/mlflow.db
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from filelock import FileLock

from nbllm.config import RunConfig
from nbllm.errors import require
from nbllm.runners.loggers.base import Logger, settings
from nbllm.training.events import Ended, Started

_EXPERIMENT = "nbllm"
_EVERY_SECONDS = 1.0  # between writes to the database, each of which takes milliseconds
_MOST = 900  # MLflow takes 1,000 metrics and 100 parameters at once


class MLflow(Logger):
    """An MLflow run for each stretch of work, tagged with the run's name; samples are its artifacts.

    MLflow cannot take steps back, so a run that goes on from step N begins a new MLflow run there.
    """

    def __init__(self, folder: Path, config: RunConfig, started: Started):
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        self._mlflow = require("mlflow", extra="mlflow")
        beside = folder.parent.absolute()
        uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{beside / 'mlflow.db'}"
        self._client = self._mlflow.MlflowClient(uri)
        with FileLock(beside / ".mlflow.lock"):  # two runs must not both make the tables
            experiment = self._experiment(beside)
        name = folder.name + (f" from {started.step}" if started.resumed else "")
        self._run = self._client.create_run(experiment, run_name=name, tags={"nbllm.run": folder.name}).info.run_id
        parameters = [self._mlflow.entities.Param(k, str(v)[:6000]) for k, v in settings(config).items()]
        for start in range(0, len(parameters), 100):
            self._client.log_batch(self._run, params=parameters[start : start + 100])
        self._waiting: list[Any] = []
        self._sent = time.monotonic()

    def _experiment(self, beside: Path) -> str:
        given = os.environ.get("MLFLOW_EXPERIMENT_NAME", _EXPERIMENT)
        found = self._client.get_experiment_by_name(given)
        if found:
            return str(found.experiment_id)
        local = not os.environ.get("MLFLOW_TRACKING_URI")
        where = {"artifact_location": (beside / "mlflow-artifacts").as_uri()} if local else {}
        return str(self._client.create_experiment(given, **where))

    def numbers(self, step: int, values: dict[str, float]) -> None:
        now = int(time.time() * 1000)
        self._waiting += [self._mlflow.entities.Metric(name, float(value), now, step) for name, value in values.items()]
        if len(self._waiting) > _MOST or time.monotonic() - self._sent > _EVERY_SECONDS:
            self.flush()

    def text(self, step: int, prompt: str, text: str) -> None:
        self._client.log_text(self._run, prompt + text, f"samples/step-{step}.txt")

    def flush(self) -> None:
        for start in range(0, len(self._waiting), _MOST):
            self._client.log_batch(self._run, metrics=self._waiting[start : start + _MOST])
        self._waiting = []
        self._sent = time.monotonic()

    def close(self, end: Ended | None) -> None:
        self.flush()
        status = "FAILED" if end is None else "KILLED" if end.reason == "stopped" else "FINISHED"
        self._client.set_terminated(self._run, status)
