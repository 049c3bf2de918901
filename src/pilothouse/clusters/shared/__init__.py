"""Logical clusters of servers that share a store: each server has those in memory that it has claimed."""
