"""Jobs: pods until enough have succeeded, or too many have failed (pkg/controller/job)."""
