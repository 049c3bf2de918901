"""The report of a time: faults, hot loops, conflicts, refusals, watch gaps, objects left over, clients."""
