"""Where the runs of a sweep are played: on this machine, or on the machines of a Ray cluster."""
