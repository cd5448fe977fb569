"""Delivery to the job's MLflow run, off the path of the training step.

What a script's own process imports of it needs Python 3.8 and its standard library only.
"""
