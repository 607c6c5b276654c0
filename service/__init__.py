"""What both kinds of service are made of: listeners, the settings file, logs, a quiet flwr."""
