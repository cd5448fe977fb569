"""What runs beside a training in its pod: monitor, exporter, delivery, supervisor. No torch."""
