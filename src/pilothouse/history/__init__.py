"""The history of objects: it keeps, shows and takes back who changed what, and when."""
