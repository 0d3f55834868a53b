"""The report of a run: one page that opens from the disk, with no network, no server and no kernel."""
