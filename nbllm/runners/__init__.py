"""Where a run is worked on: in a process of its own, or inline in the kernel."""
