"""The rows of the sample files, table by table, in the shapes that the old application leaves."""
