"""The simulation that --simulate describes: groups of nodes, and what containers do."""
