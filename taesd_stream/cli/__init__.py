"""The command `taesd-video`: thin commands; what is heavy is imported once they are known."""
