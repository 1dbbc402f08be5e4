# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report as one page: no script, nothing from elsewhere, and every text escaped. Runs on the controller."""

from __future__ import annotations

import html

from .discovery import HOSTS_SHOWN, number_of, one_line
from .report import IN_USE, STATES, overview, reasons_of

# So many hosts are open when the page is.
OPEN_HOSTS = 20
# VFs of one kind in a row are one element, which can be broken after so many.
CELLS = 16
SIGNS = {
    "unread": "?",
    "failed": "\u2716",
    "reboot": "\u21bb",
    "differs": "\u2260",
    "unset": "\u2013",
    "ok": "\u2714",
    "none": "\u2013",
    "pending": "\u21bb",
    "waiting": "\u21bb",
    "skipped": "\u2013",
    "unmanaged": "\u2013",
    IN_USE: "\u25a0",
}
COLOURS = {
    "unread": "bad",
    "failed": "bad",
    "reboot": "wait",
    "pending": "wait",
    "waiting": "wait",
    "differs": "wait",
    "ok": "good",
}
TITLES = {
    "unread": "Not read",
    "failed": "Failed",
    "reboot": "Waiting for a reboot",
    "differs": "Not as wanted",
    IN_USE: "VFs in use",
}
STYLE = """
:root{color-scheme:light dark;--back:#fff;--text:#1a1d21;--soft:#59636e;--line:#d0d5db;--box:#f4f6f8;--bad:#b3261e;--wait:#8a5300;
--good:#1a6b2e;--used:#1f5fbf;--idle:#c3cbd4}
@media (prefers-color-scheme:dark){:root{--back:#14171a;--text:#e6e9ec;--soft:#a3adb8;--line:#3a424b;--box:#1d2227;--bad:#ff8a80;
--wait:#ffb74d;--good:#81c995;--used:#7fb0ff;--idle:#4a545f}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1rem;max-width:75rem;background:var(--back);color:var(--text);font:16px/1.45 system-ui,sans-serif;
overflow-wrap:anywhere}
h1{font-size:1.5rem;margin:0}h2{font-size:1.15rem;margin:1.6rem 0 .4rem}
p,ul,ol{margin:.3rem 0}.soft,small{color:var(--soft)}code{font-size:.9em}a{color:inherit}
.totals{display:flex;flex-wrap:wrap;gap:.5rem;padding:0;margin:1rem 0;list-style:none}
.totals li{padding:.3rem .7rem;border:1px solid var(--line);border-left:.4rem solid var(--soft);background:var(--box)}
.totals b{font-size:1.3rem}.totals .bad,.mark.bad{border-color:var(--bad)}.totals .wait,.mark.wait{border-color:var(--wait)}
.totals .good,.mark.good{border-color:var(--good)}
.bad .sign{color:var(--bad)}.wait .sign{color:var(--wait)}.good .sign{color:var(--good)}
table{border-collapse:collapse;width:100%;table-layout:fixed}th:first-child{width:9rem}th:last-child{width:34%}
th,td{text-align:left;vertical-align:top;padding:.25rem .6rem .25rem 0;
border-top:1px solid var(--line)}th{font-weight:600}
details{border-top:1px solid var(--line);content-visibility:auto;contain-intrinsic-size:auto 2.2rem}
summary{padding:.35rem 0;cursor:pointer}summary b{font-weight:600}
.mark{display:inline-block;padding:0 .45rem;border:1px solid var(--soft);border-radius:.3rem;font-size:.85rem;white-space:nowrap}
.card{margin:.5rem 0 .8rem;padding:.5rem .7rem;border:2px solid var(--line);border-radius:.4rem;background:var(--box)}
.card>h4{margin:0 0 .3rem;font-size:.9rem;font-weight:600;color:var(--soft)}
.pf{display:grid;grid-template-columns:minmax(13rem,1fr) 2fr minmax(8rem,auto);align-items:center;gap:0 1.6rem;padding:.35rem 0}
.pf>div{position:relative}.pf>div+div::before{content:"";position:absolute;right:100%;top:50%;width:1.6rem;
border-top:2px solid var(--line)}
.port,.net{padding:.3rem .6rem;border:1px solid var(--line);border-radius:.3rem;background:var(--back)}
.net{border-style:dashed}
.vfs{display:flex;flex-wrap:wrap;gap:3px 0;min-height:18px}
.pf:has(.net) .vfs::after{content:"";flex:1;align-self:center;margin-left:3px;border-top:2px solid var(--line)}
.vf{display:block;height:18px;width:calc(var(--n)*15px);--cell:repeating-linear-gradient(90deg,var(--c) 0 13px,transparent 13px 15px);
background:var(--cell);-webkit-print-color-adjust:exact;print-color-adjust:exact}
.idle{--c:var(--idle)}.used{--c:var(--used)}.lack{--c:var(--bad);background:var(--cell) top/100% 1px no-repeat,
var(--cell) bottom/100% 1px no-repeat,repeating-linear-gradient(90deg,var(--c) 0 1px,transparent 1px 12px,var(--c) 12px 13px,
transparent 13px 15px)}
.key{display:flex;flex-wrap:wrap;gap:.3rem 1.2rem;align-items:center}.key span{display:flex;gap:.4rem;align-items:center}
.held{margin-left:0;padding-left:3rem;font-size:.9rem}.more{padding-left:1.2rem}
@media (max-width:40rem){body{padding:.6rem}.pf{grid-template-columns:1fr}.pf>div+div{margin:.7rem 0 0}
.pf>div+div::before{right:auto;left:1rem;top:-.7rem;width:0;height:.7rem;border-top:0;border-left:2px solid var(--line)}
td,th{display:block;border:0;padding:.1rem 0}td:first-child,th:first-child{border-top:1px solid var(--line);padding-top:.3rem}
thead{display:none}}
@media print{:root{--back:#fff;--text:#000;--soft:#444;--line:#999;--box:#fff;--bad:#b3261e;--wait:#8a5300;--good:#1a6b2e;
--used:#1f5fbf;--idle:#c3cbd4}body{max-width:none;padding:0;font-size:11px}.card,.pf,tr{break-inside:avoid}
details{content-visibility:visible}}
"""
HEAD = (
    '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">"
    '<meta name="viewport" content="width=device-width,initial-scale=1"><link rel="icon" href="data:,">'
    f"<title>SR-IOV report</title><style>{STYLE}</style></head><body>\n"
)


def text(value: object) -> str:
    """A value as text of the page, escaped, without line breaks and control characters."""
    return html.escape(one_line(str(value)))


def mark(state: str, words: str = "") -> str:
    """A state as a sign and a word: never by its colour alone."""
    return f'<span class="mark {COLOURS.get(state, "")}"><span class="sign">{SIGNS[state]}</span> {text(words or state)}</span>'


def links(hosts: list[str], places: dict[str, int]) -> str:
    """Links to hosts: the first ones, and the others in a part that opens."""

    def link(host):
        return f'<a href="#h{places[host]}">{text(host)}</a>'

    more = hosts[HOSTS_SHOWN:]
    shown = ", ".join(link(host) for host in hosts[:HOSTS_SHOWN])
    if not more:
        return shown
    return f"{shown}<details><summary>and {len(more)} more</summary>{', '.join(link(host) for host in more)}</details>"


def fleet(report: dict, places: dict[str, int]) -> str:
    """The first part: totals, and what is wrong, waits, differs or is in use, grouped."""
    totals = "".join(
        f'<li class="{COLOURS.get(state, "")}"><span class="sign">{SIGNS[state]}</span> <b>{count}</b> {text(STATES[state])}</li>'
        for state, count in report["summary"].items()
        if count
    )
    parts = [
        f"<h1>SR-IOV: {number_of(report['hosts'])}</h1><p class=soft>{text(report['time'])}</p><ul class=totals>{totals}</ul>"
    ]
    for state, groups in overview(report).items():
        rows = "".join(
            f"<tr><td>{number_of(group['hosts'])}{', %d VFs' % group['count'] if state == IN_USE else ''}</td>"
            f"<td>{'such as ' if len(group['hosts']) > 1 else ''}{text(group['text'])}</td>"
            f"<td>{links(group['hosts'], places)}</td></tr>\n"
            for group in groups
        )
        parts.append(
            f'<section class="{COLOURS.get(state, "")}"><h2><span class="sign">{SIGNS[state]}</span> {TITLES[state]}</h2>'
            f"<table><thead><tr><th>Number</th><th>Reason</th><th>Hosts</th></tr></thead><tbody>\n{rows}</tbody></table></section>\n"
        )
    return "".join(parts)


def cells(nic: dict) -> str:
    """The VFs of a PF as squares, in the order of their numbers: idle, in use, and those that are missing."""
    runs: list[list] = []
    for vf in nic["vfs"]:
        kind = "used" if vf["holder"] else "idle"
        if runs and runs[-1][0] == kind and runs[-1][1] < CELLS:
            runs[-1][1] += 1
        else:
            runs.append([kind, 1])
    missing = max(0, (nic["wanted"] or 0) - len(nic["vfs"]))
    while missing:
        runs.append(["lack", min(missing, CELLS)])
        missing -= runs[-1][1]
    return "".join(f'<i class="vf {kind}" style="--n:{count}"></i>' for kind, count in runs)


def port(nic: dict) -> str:
    """A PF: its box, its VFs, and its physical network."""
    used = sum(bool(vf["holder"]) for vf in nic["vfs"])
    now = len(nic["vfs"])
    of = f"{now} of {nic['wanted']} VFs" if nic["wanted"] is not None else f"{now} VFs"
    limit = "" if nic["totalvfs"] is None else f", at most {nic['totalvfs']}"
    network = f"<div class=net>{text(nic['physical_network'])}</div>" if nic["physical_network"] else ""
    held = "".join(
        f'<li value="{number}">{text(vf["holder"])}</li>' for number, vf in enumerate(nic["vfs"]) if vf["holder"]
    )
    return (
        f"<div class=pf><div class=port><b>{text(', '.join(nic['names']) or '-')}</b> <code>{text(nic['address'])}</code> "
        f"{mark(nic['state'])}<br><small>{of}{limit}{f', {used} in use' if used else ''}</small></div>"
        f"<div class=vfs>{cells(nic)}</div>{network}</div>" + (f"<ol class=held start=0>{held}</ol>" if held else "")
    )


def picture(host: dict) -> str:
    """The NICs of a host, each card with its PFs."""
    cards: dict[str, list[dict]] = {}
    for nic in host["nics"]:
        cards.setdefault(nic["address"].rpartition(".")[0], []).append(nic)
    return "".join(
        f"<div class=card><h4>NIC {text(card)} \u00b7 {text(nics[0]['id'] or 'not present')} \u00b7 {text(nics[0]['driver'] or 'no driver')}</h4>"
        f"{''.join(port(nic) for nic in nics)}</div>"
        for card, nics in cards.items()
    )


def host_part(host: dict, place: int, is_open: bool) -> str:
    """The part of one host. place: its number on the page."""
    vfs = [vf for nic in host["nics"] for vf in nic["vfs"]]
    used = sum(bool(vf["holder"]) for vf in vfs)
    facts = f"{len(host['nics'])} PFs, {len(vfs)} VFs" + (f", {used} in use" if used else "")
    if host["state"] != "unread" and not host["iommu"]:
        facts += ", no IOMMU"
    reasons = "".join(
        f"<li>{text(reason)}</li>" for reason in reasons_of(host) + ([host.get("notice")] if host.get("notice") else [])
    )
    return (
        f"<details{' open' if is_open else ''}><summary>{mark(host['state'], STATES[host['state']])} "
        f"<b>{text(host['host'])}</b> <small>{facts}</small></summary><div id=h{place}>"
        + (f"<ul>{reasons}</ul>" if reasons else "")
        + picture(host)
        + "</div></details>\n"
    )


def page(report: dict) -> str:
    """The page of a report: see document() in report.py."""
    places = {host["host"]: number for number, host in enumerate(report["hosts"])}
    key = (
        '<p class="key soft"><span><i class="vf used" style="--n:1"></i>VF in use</span>'
        '<span><i class="vf idle" style="--n:1"></i>idle VF</span><span><i class="vf lack" style="--n:1"></i>missing VF</span>'
        "<span><span class=net>network</span>physical network</span></p>"
    )
    hosts = "".join(
        host_part(host, places[host["host"]], len(report["hosts"]) <= OPEN_HOSTS) for host in report["hosts"]
    )
    return f"{HEAD}{fleet(report, places)}<h2>Hosts</h2>{key}{hosts}</body></html>\n"
