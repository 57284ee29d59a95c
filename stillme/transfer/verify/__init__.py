"""The judge: compares a legacy file with the target and says PROVEN or what differs.

It reads both databases with code of its own. With the loader (`steps/`) it shares what a value
means (`kinds`), connections and snapshots, and no conversion.

    verification, judged_files           a command, and one file of it after the other
    tables/table_levels, table_judge     a table at the level asked for; its key ranges, by block
    sides/legacy_blocks, target_table    a block of rows from either side, and its checksum
    rows/row_judge, row_expectation      rows that a checksum cannot settle, cell by cell
    structure/                           what is declared of a target table, and what is there
"""
