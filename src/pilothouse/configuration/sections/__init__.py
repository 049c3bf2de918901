"""The settings of a server by subject: its flags, what follows from them, and their faults."""
