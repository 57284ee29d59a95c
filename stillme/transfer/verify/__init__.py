"""The judge: compares a legacy file with the target and says PROVEN or what differs.

It reads both databases with code of its own. With the loader (`steps/`) it shares what a value
means (`kinds`), connections and snapshots, and no conversion.

    run -> files -> tables -> table    a command, its files, their tables, one table's key ranges
    legacy_side, target_side, lines    a block of rows from either side, and its checksum
    rows -> fate -> expect             rows that a checksum cannot settle, cell by cell
    structure, reference, sequences    what is declared of a target table, and what is there
"""
