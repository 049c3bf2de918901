"""An admission plugin: workloads carry the label of the team that owns their namespace."""
