"""The driver of `make demo`: installs, trains MNIST and shows what MLflow holds of it."""
