"""The output of a script as an artifact of its run: bounded, without secrets."""
