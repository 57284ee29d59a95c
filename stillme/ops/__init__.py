"""Running it: health, metrics, logs with request ids, read replicas, gunicorn, Citus."""
