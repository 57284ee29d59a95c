"""One result, rendered: terminal (rich), JSON, HTML."""
