"""Prints what a run did, a line a repository: larder run index --json | python3 report.py

rebuild: seconds that its commands took in this run. saved: seconds that they took when they last ran and did not now.
"""

import json
import sys

record = json.load(sys.stdin)
print(f"{'':<14} {'':<10} {'cache':<8} {'rebuild':>9} {'saved':>9}")
for task in record["tasks"]:
    name = task["task"].partition("#")[0]
    print(
        f"{name:<14} {task['status']:<10} {task['cache']:<8}"
        f" {task['seconds']:>7.2f} s {task['saved_seconds']:>7.2f} s"
    )
print(
    f"{record['cache_hit']} hit, {record['cache_miss']} missed,"
    f" {record['rebuild_seconds']:.2f} s of rebuilding, {record['wall_seconds']:.2f} s in all"
)
