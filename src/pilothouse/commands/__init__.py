"""The commands beside `serve`, one file each. Imports assembly and everything below it."""
