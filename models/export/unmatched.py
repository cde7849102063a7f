"""Keeps the structures of a file that `temper index query` found no match for.

    temper index query FILE --index KNOWN -o TABLE.csv
    python unmatched.py FILE TABLE.csv OUT

FILE is a CSV with a column `id`, or JSON lines with a key `id`; OUT has the same form.
"""

import csv
import json
import sys

csv.field_size_limit(sys.maxsize)


def unmatched(table):
    """The ids of the structures that were looked up and not found."""
    with open(table, newline="") as source:
        return {row["id"] for row in csv.DictReader(source) if row["status"] == "ok" and not row["match"]}


if __name__ == "__main__":
    path, table, out = sys.argv[1:]
    new = unmatched(table)
    with open(path, newline="") as source, open(out, "w", newline="") as target:
        if path.endswith(".csv"):
            rows = csv.DictReader(source)
            kept = csv.DictWriter(target, rows.fieldnames)
            kept.writeheader()
            kept.writerows(row for row in rows if row["id"] in new)
        else:
            target.writelines(line for line in source if json.loads(line)["id"] in new)
    print(f"{out}: {len(new)} structures")
