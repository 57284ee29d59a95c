"""Commands that an operator starts from the console: one at a time, outliving the request."""
