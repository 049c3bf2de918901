"""Cron jobs: a job at each time of a schedule (pkg/controller/cronjob)."""
