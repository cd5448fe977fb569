"""Fetches a data set or a model into a volume of the pod before the training starts."""
