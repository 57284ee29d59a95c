"""Lists of tables with millions of rows: by key, with page numbers, dates, filters and exports."""
