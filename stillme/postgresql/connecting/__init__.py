"""From a database URL to a session: options, settings, silence, sentences for failures."""
