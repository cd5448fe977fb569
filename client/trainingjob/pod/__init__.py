"""Programs that run in the pod, sent as text; nothing here imports them."""
