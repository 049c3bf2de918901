"""Admission plugins: change an object before it is written, or refuse the write.
Imports registry readers and api."""
