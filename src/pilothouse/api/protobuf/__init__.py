"""The protobuf form of the built-in kinds."""
