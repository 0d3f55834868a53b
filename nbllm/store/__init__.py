"""The run folder as a data structure: the one thing that trainer, dashboards, kernels and scripts share."""
