"""Trackers that are told a run's metrics too, where `train.loggers` names them: TensorBoard, W&B, MLflow, trackio.

All of them write to this machine unless the user's own settings for them say otherwise; each is an optional extra.
"""
