# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Redfish over HTTPS: the requests to a BMC, and its BIOS settings as plain data.

DMTF DSP0266 (the protocol) and DSP2046 (the resources Bios, Settings, AttributeRegistry). Differences between vendors
have a comment where they matter.
"""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import re
import ssl
from typing import Any
from urllib.error import HTTPError, URLError

from ansible.module_utils.urls import open_url

from ..errors import Refusal

ROOT = "/redfish/v1/"
SESSIONS = "/redfish/v1/SessionService/Sessions"
# A name, an IPv4 address, or an IPv6 address in brackets; with a port or without.
ADDRESS = re.compile(r"^(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9][A-Za-z0-9._-]*)(?::[0-9]{1,5})?\Z")
BARE_IPV6 = re.compile(r"^[0-9A-Fa-f]*:[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*\Z")
# The states of a Dell job that will do nothing more (DellJob schema, JobState).
FINISHED = ("Completed", "CompletedWithErrors", "Failed", "RebootCompleted", "RebootFailed")
# What a BMC says of settings that it has applied, or will apply.
GOOD_MESSAGE = re.compile(r"\.(Success|SystemResetRequired|SettingsApplied)$")
SHOWN = 400


class NoAnswer(Refusal):
    """The BMC cannot be reached."""


class Rejected(Refusal):
    """An answer of the BMC that is an HTTP error. status: its code."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def host_of(address: str) -> str:
    """The host and port for a URL, from sriov_bmc_address. Raises Refusal for anything else."""
    text = address.strip()
    text = re.sub(r"^https://([^/]*)/?\Z", r"\1", text)
    if BARE_IPV6.match(text):
        return f"[{text}]"
    if not ADDRESS.match(text):
        raise Refusal(
            f"sriov_bmc_address is {address!r:.80}: give the name or the address of the BMC, with a port if it is not 443"
        )
    return text


def link(resource: Any, *names: str) -> str | None:
    """The URI that a resource has under nested names; None without one, and for one that leads to another host."""
    for name in names:
        resource = resource.get(name) if isinstance(resource, dict) else None
    uri = resource.get("@odata.id") if isinstance(resource, dict) else None
    return uri if isinstance(uri, str) and uri.startswith("/") else None


def links(resource: Any, name: str) -> list[str]:
    """The URIs in a list of links of a resource, such as Members."""
    members = resource.get(name) if isinstance(resource, dict) else None
    found = [link({"one": member}, "one") for member in members] if isinstance(members, list) else []
    return [uri for uri in found if uri]


def last_part(uri: str) -> str:
    """The last part of a URI: the id of a resource. HPE's URIs end in a slash."""
    return uri.rstrip("/").rpartition("/")[2]


def text_of_error(body: bytes) -> str:
    """What the BMC says in the body of an error, on one line; empty when it says nothing readable."""
    try:
        error = json.loads(body)["error"]
        messages = [entry["Message"] for entry in error.get("@Message.ExtendedInfo") or [] if entry.get("Message")]
        said = " ".join(messages) or str(error.get("message") or "")
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""
    return " ".join(said.split())[:SHOWN]


class Bmc:
    """A BMC: sends requests with a login, and turns every fault into a Refusal.

    Uses basic authentication, and a session if the BMC refuses that. The end of a `with` statement ends the session.
    """

    def __init__(self, parameters: dict) -> None:
        self.address = parameters["address"]
        self.base = "https://" + host_of(self.address)
        self.parameters = parameters
        self.token: str | None = None
        self.session: str | None = None

    def __enter__(self) -> Bmc:
        return self

    def __exit__(self, *_error: object) -> None:
        if self.session:
            # The BMC ends it by itself after some minutes: no reason to fail.
            with contextlib.suppress(Refusal):
                self._send("DELETE", self.session, None, {})

    def get(self, uri: str) -> dict:
        """The resource at a URI. Raises Refusal."""
        return self.ask("GET", uri)[0]

    def ask(self, method: str, uri: str, body: dict | None = None, headers: dict | None = None) -> tuple[dict, dict]:
        """(The answer, its headers in lower case). Raises Refusal, Rejected for an HTTP error."""
        try:
            return self._send(method, uri, body, headers or {})
        except Rejected as rejected:
            if rejected.status != 401:
                raise
            if self.token is None:
                self._log_in()
                return self.ask(method, uri, body, headers)
            raise

    def _log_in(self) -> None:
        """Open a session: a BMC may allow no basic authentication. Raises Refusal when the login is wrong."""
        root = self._send("GET", ROOT, None, {})[0]
        login = {"UserName": self.parameters["username"], "Password": self.parameters["password"]}
        try:
            _answer, headers = self._send("POST", link(root, "Links", "Sessions") or SESSIONS, login, {})
        except Rejected as rejected:
            raise Refusal(
                f"the BMC at {self.address} refuses the login ({rejected.status}): correct sriov_bmc_username and "
                "sriov_bmc_password; some BMCs lock an account after a few attempts"
            ) from rejected
        self.token = headers.get("x-auth-token", "")
        place = re.sub(r"^https?://[^/]*", "", headers.get("location", ""))
        self.session = place if place.startswith("/") else None

    def _send(self, method: str, uri: str, body: dict | None, headers: dict) -> tuple[dict, dict]:
        """One request. Raises Refusal, Rejected for an HTTP error."""
        given = self.parameters
        fields = {"Accept": "application/json", "OData-Version": "4.0", **headers}
        if body is not None:
            fields["Content-Type"] = "application/json"
        if self.token:
            fields["X-Auth-Token"] = self.token
        # A new session is opened without the refused kind of login.
        basic = (
            {}
            if self.token or method == "POST"
            else {"url_username": given["username"], "url_password": given["password"], "force_basic_auth": True}
        )
        try:
            answer = open_url(
                self.base + uri,
                method=method,
                data=None if body is None else json.dumps(body),
                headers=fields,
                validate_certs=given["validate_certs"],
                ca_path=given["ca_path"],
                timeout=given["timeout"],
                # Another host must not get the login, and a proxy none either.
                follow_redirects="none",
                use_proxy=False,
                use_netrc=False,
                **basic,
            )
            text = answer.read()
            return parsed(text), {name.lower(): value for name, value in answer.headers.items()}
        except HTTPError as error:
            with contextlib.suppress(OSError, http.client.HTTPException):
                said = text_of_error(error.read())
                raise self._rejected(method, uri, error, said) from error
            raise self._rejected(method, uri, error, "") from error
        except (URLError, OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from error
        except ValueError as error:
            raise Refusal(
                f"the BMC at {self.address} does not answer {method} {uri} with JSON: check that sriov_bmc_address is "
                "that of a BMC with Redfish"
            ) from error

    def _rejected(self, method: str, uri: str, error: HTTPError, said: str) -> Rejected:
        moved = error.headers.get("Location") if 300 <= error.code < 400 else None
        words = said or (f"it redirects to {moved:.200}" if moved else str(error.reason or "no reason given"))
        return Rejected(f"the BMC at {self.address} rejects {method} {uri} ({error.code}): {words}", error.code)

    def _unreachable(self, error: Exception) -> Refusal:
        reason = getattr(error, "reason", error)
        if isinstance(reason, ssl.SSLCertVerificationError):
            return Refusal(
                f"the certificate of the BMC at {self.address} cannot be verified ({reason.verify_message}): give the "
                "certificate of its authority in sriov_bmc_ca_path, or set sriov_bmc_validate_certs to false"
            )
        return NoAnswer(
            f"the BMC at {self.address} does not answer over HTTPS ({reason}): correct sriov_bmc_address, or name a "
            "host that can reach it in sriov_bmc_via"
        )


def parsed(text: bytes) -> dict:
    """The JSON of an answer; an empty answer is an empty resource. Raises ValueError."""
    value = json.loads(text) if text.strip() else {}
    if not isinstance(value, dict):
        raise ValueError(type(value).__name__)
    return value


@dataclasses.dataclass
class Board:
    """The BIOS settings of a system as its BMC shows them, without what vendors do differently.

    current: the settings that run; pending: those that change with the next boot; jobs: Dell's jobs for BIOS settings
    that are not finished; messages: what the BMC reports about settings that the last boot did not apply.
    """

    system: dict
    bios: dict
    settings_uri: str
    current: dict[str, Any]
    pending: dict[str, Any]
    etag: str | None
    on_reset: bool
    is_dell: bool
    jobs: list[dict]
    messages: list[str]
    jobs_uri: str | None

    @property
    def name(self) -> str:
        """Manufacturer and model, for messages."""
        words = [self.system.get("Manufacturer"), self.system.get("Model")]
        return " ".join(str(word) for word in words if word) or "of an unknown make"


def choose_system(bmc: Bmc, root: dict, wanted: str) -> dict:
    """The system that is the host. wanted: its id, empty if the BMC has only one. Raises Refusal."""
    members = links(bmc.get(link(root, "Systems") or ROOT + "Systems"), "Members")
    ids = [last_part(uri) for uri in members]
    if not ids:
        raise Refusal(f"the BMC at {bmc.address} shows no system: check that sriov_bmc_address is that of a BMC")
    if wanted and wanted not in ids:
        raise Refusal(
            f"the BMC at {bmc.address} has no system {wanted!r:.80}: name one of {', '.join(ids)} in sriov_bmc_system"
        )
    if not wanted and len(ids) > 1:
        raise Refusal(f"the BMC at {bmc.address} has the systems {', '.join(ids)}: name the host's in sriov_bmc_system")
    return bmc.get(members[ids.index(wanted) if wanted else 0])


def read_board(bmc: Bmc, root: dict, system: dict) -> Board:
    """The BIOS settings of a system. Raises Refusal if the BMC does not show them, or they cannot be changed."""
    bios_uri = link(system, "Bios")
    bios = bmc.get(bios_uri) if bios_uri else {}
    current = bios.get("Attributes")
    about = bios.get("@Redfish.Settings") or {}
    settings_uri = link(about, "SettingsObject")
    if not isinstance(current, dict) or not current or not settings_uri:
        raise Refusal(
            f"the BMC at {bmc.address} shows no BIOS settings that can be changed: this needs newer firmware on some "
            "BMCs, and a licence on others"
        )
    settings, headers = bmc.ask("GET", settings_uri)
    later = settings.get("Attributes") or {}
    is_dell = root.get("Vendor") == "Dell" or "Dell" in (root.get("Oem") or {})
    jobs_uri = find_jobs(bmc, system) if is_dell else None
    return Board(
        system=system,
        bios=bios,
        settings_uri=settings_uri,
        current=current,
        # HPE and Lenovo show every setting there, Dell only those that are pending, Supermicro nothing at all when none
        # is. Dell may show a setting that is pending as the current one, too.
        pending={name: value for name, value in later.items() if is_dell or current.get(name) != value},
        etag=headers.get("etag") or settings.get("@odata.etag"),
        on_reset="OnReset" in (about.get("SupportedApplyTimes") or []),
        is_dell=is_dell,
        jobs=open_jobs(bmc, jobs_uri) if jobs_uri else [],
        messages=complaints(about.get("Messages")),
        jobs_uri=jobs_uri,
    )


def find_jobs(bmc: Bmc, system: dict) -> str:
    """The URI of an iDRAC's list of jobs."""
    for uri in links(system.get("Links"), "ManagedBy"):
        found = link(bmc.get(uri), "Links", "Oem", "Dell", "Jobs")
        if found:
            return found
    return "/redfish/v1/Managers/iDRAC.Embedded.1/Oem/Dell/Jobs"


def open_jobs(bmc: Bmc, uri: str) -> list[dict]:
    """Dell's jobs for BIOS settings that are not finished, each with `Id` and `JobState`. Raises Refusal."""
    members = bmc.get(uri + "?$expand=*($levels=1)").get("Members") or []
    return [job for job in members if job.get("JobType") == "BIOSConfiguration" and job.get("JobState") not in FINISHED]


def complaints(messages: Any) -> list[str]:
    """What the BMC reports about settings that it did not apply. messages: of @Redfish.Settings, set at a boot."""
    found = []
    for entry in messages if isinstance(messages, list) else []:
        if isinstance(entry, dict) and not GOOD_MESSAGE.search(str(entry.get("MessageId") or "")):
            arguments = entry.get("MessageArgs") or []
            words = entry.get("Message") or " ".join(map(str, [entry.get("MessageId") or "", *arguments]))
            found.append(" ".join(str(words).split())[:SHOWN])
    return [words for words in found if words]


def read_registry(bmc: Bmc, root: dict, bios: dict) -> dict:
    """The registry of the BIOS settings: {"attributes": {name: entry}, "dependencies": [...]}; both empty without one.

    The resource Bios names the registry. Dell and Supermicro give it another version there than where it is, so the
    name up to the first dot decides. A BMC need not have one.
    """
    wanted = str(bios.get("AttributeRegistry") or "")
    try:
        members = links(bmc.get(link(root, "Registries") or ROOT + "Registries"), "Members")
        for uri in sorted(members, key=lambda one: last_part(one) != wanted):
            if last_part(uri).partition(".")[0] != wanted.partition(".")[0]:
                continue
            for place in bmc.get(uri).get("Location") or []:
                if str(place.get("Language", "en")).startswith("en") and str(place.get("Uri")).startswith("/"):
                    entries = bmc.get(place["Uri"])["RegistryEntries"]
                    return {
                        "attributes": {entry["AttributeName"]: entry for entry in entries["Attributes"]},
                        "dependencies": entries.get("Dependencies") or [],
                    }
    except (Refusal, KeyError, TypeError, AttributeError):
        # The BMC checks the values itself.
        pass
    return {"attributes": {}, "dependencies": []}
