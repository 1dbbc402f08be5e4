# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Records which PCI functions of a made-up host Nova's own code takes for a device_spec, or that it takes none such.

pip install nova==31.3.1 && python record.py > answers.json
"""

import itertools
import json
import random

from nova import exception
from nova.pci import utils, whitelist


def pf(address, ids, vf_product, name, vfs):
    """A PF and its VFs, as libvirt reports them to Nova."""
    vendor, product = ids.split(":")
    one = {
        "address": address,
        "vendor_id": vendor,
        "product_id": product,
        "parent_addr": None,
        "names": [name],
        "parent_names": [],
    }
    return [one] + [
        {
            "address": vf,
            "vendor_id": vendor,
            "product_id": vf_product,
            "parent_addr": address,
            "names": names,
            "parent_names": [name],
        }
        for vf, names in vfs
    ]


HOST = (
    pf(
        "0000:01:00.0",
        "8086:10c9",
        "10ca",
        "ens1f0",
        [("0000:01:10.0", ["ens1f0v0"]), ("0000:01:10.2", []), ("0000:01:10.4", [])],
    )
    + pf("0000:01:00.1", "8086:10c9", "10ca", "ens1f1", [("0000:01:10.1", []), ("0000:01:10.3", [])])
    + pf(
        "0000:3b:00.0", "15b3:1017", "1018", "ens2", [("0000:3b:00.2", []), ("0000:3b:00.7", []), ("0000:3b:01.0", [])]
    )
    + pf("0001:3b:00.0", "15b3:1017", "1018", "ens3", [("0001:3b:00.2", [])])
    + pf("10000:3b:00.0", "8086:1592", "1889", "ens4", [("10000:3b:01.0", [])])
    + [
        {
            "address": "0000:00:03.0",
            "vendor_id": "8086",
            "product_id": "100e",
            "parent_addr": None,
            "names": ["mgmt"],
            "parent_names": [],
        },
        {
            "address": "00ab:ff:1f.7",
            "vendor_id": "0015",
            "product_id": "0b3a",
            "parent_addr": None,
            "names": [],
            "parent_names": [],
        },
    ]
)
PFS = {function["parent_addr"] for function in HOST} - {None}

GLOBS = [
    "0000:01:00.0",
    "0000:01:00.1",
    "0000:3b:00.0",
    "0000:01:10.2",
    "0000:00:03.0",
    "0000:3B:00.0",
    "0:1:0.0",
    "01:00.0",
    "3b:00.0",
    ":3b:00.0",
    ":00.",
    ":00.0",
    "00.0",
    ".0",
    ".",
    "*",
    "*:*:*.*",
    "*:*.*",
    "*.*",
    "0000:01:*.*",
    "0000:01:10.*",
    "0000:*:00.0",
    "*:3b:00.*",
    "*:3b:*.*",
    "01:10.*",
    "0a:*",
    "3b:*",
    "0000:3b:00",
    "0000:3b:00.",
    "3b:00",
    "10",
    "ff:1f.7",
    "00ab:*:*.7",
    "ab:ff:1f.7",
    " 0000 : 3b : 00 . 2 ",
    "0000:0x3b:00.2",
    "0000:3_b:00.2",
    "52:54:00",
    "01:10:02",
    "0000:01:1?.0",
    "0000:01:[0-9]*.0",
    "0000:1:1*.0",
    "0000:01:10.8",
    "0000:01:20.0",
    "0000:100:00.0",
    "10000:3b:00.0",
    "10000:3b:*.*",
    "00:11:22:33:44:55",
    "52:54:*:*:*:*",
    "0000:01:00.0.0",
    "0000:01:00.ens1",
    "mac",
    "+1:00.0",
    "-1:00.0",
    "0000::00.0",
    "::.0",
    "0000:01:10. ",
    "*:*:*.2",
    "*:*:01.*",
    "525400123456",
]
EXPRESSIONS = [
    {},
    {"bus": "01"},
    {"bus": "0"},
    {"bus": "0[0-2]"},
    {"bus": "3b"},
    {"bus": "3B"},
    {"bus": "(?i)3B"},
    {"bus": "b"},
    {"bus": ".b"},
    {"domain": "0000"},
    {"domain": "000"},
    {"domain": "0001"},
    {"domain": "^0000$"},
    {"slot": "10"},
    {"slot": "0[01]"},
    {"slot": "1"},
    {"function": "[0-2]"},
    {"function": "7"},
    {"function": "^[1-7]"},
    {"function": ""},
    {"function": "x"},
    {"domain": "0000", "bus": "01", "slot": "00", "function": "0"},
    {"domain": "0000", "bus": "3b", "slot": "00", "function": "0"},
    {"domain": "0000", "bus": "3B", "slot": "00", "function": "0"},
    {"domain": "0000", "bus": "01", "slot": "00", "function": "[01]"},
    {"domain": "0", "bus": "1", "slot": "0", "function": "0"},
    {"domain": "", "bus": "", "slot": "", "function": ""},
    {"domain": "10000", "bus": "3b", "slot": "00", "function": "0"},
    {"bus": "01", "slot": "1.", "function": "[024]"},
    {"bus": "("},
    {"bus": "[0-"},
    {"function": "*"},
    {"buss": "01"},
    {"domain": ".*", "bus": "01", "slot": ".*", "function": "1"},
    {"domain": "0000", "bus": "01", "slot": "10", "function": "2"},
]
DEVNAMES = ["ens1f0", "ens1f1", "ens2", "ens3", "ens4", "ens1f0v0", "mgmt", "ens9", "ENS2", "ens*", ""]
IDS = [
    {"vendor_id": "8086"},
    {"product_id": "10ca"},
    {"vendor_id": "8086", "product_id": "10ca"},
    {"vendor_id": "8086", "product_id": "10c9"},
    {"vendor_id": "15B3", "product_id": "1018"},
    {"vendor_id": "0x15b3"},
    {"vendor_id": " 15b3 ", "product_id": " 1018 "},
    {"vendor_id": "*", "product_id": "10ca"},
    {"vendor_id": "*", "product_id": "*"},
    {"vendor_id": "15"},
    {"product_id": "b3a"},
    {"vendor_id": "8086", "product_id": "*"},
    {"vendor_id": "ffff"},
    {"vendor_id": "15b3", "product_id": "10ca"},
]


def specs():
    """Every form by itself, then a choice of combinations."""
    addresses = [{"address": address} for address in GLOBS + EXPRESSIONS]
    names = [{"devname": name} for name in DEVNAMES]
    yield {}
    yield from addresses + names + IDS
    yield {"devname": "ens2", "address": "0000:3b:00.0"}
    pairs = list(itertools.product(addresses + names, IDS))
    for naming, ids in random.Random(31).sample(pairs, 120):
        yield dict(naming, **ids)
    one = random.Random(3)
    digits = [
        ["*", "0000", "0001", "0", ""],
        ["*", "01", "3b", "3B", "1", ""],
        ["*", "00", "10", "0", "1"],
        ["*", "0", "1", "2", "3", ""],
    ]
    for _number in range(80):
        yield {"address": "%s:%s:%s.%s" % tuple(one.choice(field) for field in digits)}


def answer(spec):
    """The addresses that Nova takes, or null when it refuses the device_spec."""
    try:
        known = whitelist.Whitelist([json.dumps(spec)])
    except exception.NovaException:
        return None
    taken = []
    for function in HOST:
        try:
            if known.device_assignable(dict(function)):
                taken.append(function["address"])
        except exception.PciConfigInvalidSpec:
            # A domain of more than 16 bits: nova/pci/manager.py logs that and leaves the device aside.
            continue
    return taken


def by_name(name):
    """Stands for nova.pci.utils.get_function_by_ifname, which reads /sys."""
    found = [function["address"] for function in HOST if name in function["names"]]
    return (found[0], found[0] in PFS) if found else (None, False)


if __name__ == "__main__":
    utils.get_function_by_ifname = by_name
    utils.is_physical_function = lambda *fields: "%s:%s:%s.%s" % fields in PFS
    answers = ["  " + json.dumps([spec, answer(spec)]) for spec in specs()]
    functions = ["  " + json.dumps(function) for function in HOST]
    print('{"functions": [\n%s\n], "answers": [\n%s\n]}' % (",\n".join(functions), ",\n".join(answers)))
