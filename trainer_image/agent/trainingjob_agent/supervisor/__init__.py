"""`trainingjob-exec`: any program, with what the loop of the trainer has beside it."""
