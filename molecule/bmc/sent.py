"""Fails unless a BMC got so many changes, and its machine rebooted so often. Arguments: FILE CHANGES REBOOTS."""

import json
import sys

with open(sys.argv[1], encoding="utf-8") as stream:
    state = json.load(stream)
found = [[method for method, _path in state["requests"]].count("PATCH"), state["boots"]]
if found != [int(number) for number in sys.argv[2:]]:
    sys.exit(f"changes and reboots: {found}")
