"""Protobuf encoding of the built-in kinds."""
