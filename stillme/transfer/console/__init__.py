"""The operator's pages beyond the admin's own: the dashboard and its figures."""
