"""Where weights come from: official files, the hub, checkpoints of any kind."""
