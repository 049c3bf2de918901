"""Objects as rows of tables, for every kind."""
