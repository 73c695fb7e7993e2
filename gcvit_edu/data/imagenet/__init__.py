"""ImageNet: its classes, its archives, shards of it, and reading them quickly."""
