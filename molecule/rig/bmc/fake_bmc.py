#!/usr/bin/env python3
"""A BMC with Redfish over HTTPS, for tests: the BIOS settings of one host, as vendors show them.

Everything is in its folder: state.json, which each request reads and writes, and the certificate. A test may change the
state between requests. A host's reboot is reset(), which a POST of ComputerSystem.Reset calls too.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import fcntl
import json
import os
import re
import ssl
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import shapes

# What can be wrong with it, by its name in the state.
FAULTS = {
    "ignored": "a reset drops what is pending, and changes nothing",
    "job stays": "a reset leaves Dell's job scheduled",
    "early": "Dell shows what is pending as the current settings",
    "late": "the current settings come only some requests after the reset",
    "lockdown": "every setting is read-only",
    "licence": "changes need a licence",
    "no registry": "it has no registry of settings",
    "no rules": "its registry has no dependencies",
    "no bios": "its system has no BIOS settings",
    "no settings object": "its BIOS settings cannot be changed",
    "no session": "it opens no session",
    "no basic": "it takes no basic authentication",
    "no job": "Dell takes settings and makes no job",
    "forgets": "it takes settings and forgets them",
    "redirect": "it sends every request to another host",
    "no json": "it answers with a page of HTML",
    "busy": "it is too busy for the next two requests",
    "raced": "another user changes a setting just before a PATCH",
}
TOKEN = "a-token-of-the-rig"
LATE_REQUESTS = 2
ADDRESSES = "subjectAltName=IP:127.0.0.1,DNS:localhost"


class Rejection(Exception):
    """An answer that is an error: its status and its words."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


def make_certificate(directory: Path) -> None:
    """Make a key and a certificate for 127.0.0.1 that signs itself, unless they are there."""
    if (directory / "cert.pem").exists():
        return
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=rig BMC"]
    files = ["-addext", ADDRESSES, "-keyout", str(directory / "key.pem"), "-out", str(directory / "cert.pem")]
    subprocess.run([*command, *files], check=True, capture_output=True, stdin=subprocess.DEVNULL)


def make(directory: Path, vendor: str, host: dict[str, str], faults: tuple[str, ...] = (), **attributes: Any) -> None:
    """Make the folder of a BMC. host: its serial and uuid; attributes: settings that differ from the shape's."""
    unknown = sorted(set(faults) - set(FAULTS))
    if unknown:
        raise ValueError(f"a BMC has no such fault: {', '.join(unknown)}")
    directory.mkdir(parents=True, exist_ok=True)
    make_certificate(directory)
    state = {
        "vendor": vendor,
        "attributes": {**shapes.SHAPES[vendor].attributes, **attributes},
        "pending": {},
        "job": None,
        "messages": [],
        "faults": list(faults),
        "host": host,
        "login": ["admin", "correct horse"],
        "sessions": 0,
        "boots": 0,
        "generation": 1,
        "late": None,
        "requests": [],
        "changes": [],
    }
    (directory / "state.json").write_text(json.dumps(state, indent=1))


@contextlib.contextmanager
def state_of(directory: Path) -> Iterator[dict[str, Any]]:
    """The state of a BMC, to read and to change."""
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        state: dict[str, Any] = json.loads((directory / "state.json").read_text())
        yield state
        partial = directory / "state.json.partial"
        partial.write_text(json.dumps(state, indent=1))
        os.replace(partial, directory / "state.json")


def reset(state: dict[str, Any]) -> None:
    """The host's reboot: the BIOS takes what is pending. iDRAC applies only what a job was made for."""
    state["boots"] += 1
    if "ignored" in state["faults"]:
        names = list(state["pending"])
        state["messages"] = [{"MessageId": "Bios.1.0.SettingNotApplied", "MessageArgs": names}] if names else []
        state["pending"], state["job"] = {}, None
    elif state["vendor"] != "dell" or state["job"]:
        if "late" in state["faults"]:
            state["late"] = {"left": LATE_REQUESTS, "shown": dict(state["attributes"]), "job": state["job"]}
        state["messages"] = [{"MessageId": "Base.1.0.Success"}] if state["pending"] else []
        if "job stays" not in state["faults"]:
            state["attributes"].update(state["pending"])
            state["pending"], state["job"] = {}, None
    state["generation"] += 1


class Tree:
    """The resources of a BMC in a state. Every method returns a body, or raises Rejection."""

    def __init__(self, state: dict[str, Any]) -> None:
        self.state = state
        self.shape = shapes.SHAPES[state["vendor"]]
        end = self.shape.slash
        self.system = f"/redfish/v1/Systems/{self.shape.systems[0]}"
        self.bios = f"{self.system}/Bios{end}"
        self.settings = f"{self.system}/Bios/{self.shape.settings}{end}"
        self.manager = f"/redfish/v1/Managers/{self.shape.manager}"
        self.jobs = f"{self.manager}/Oem/Dell/Jobs"
        self.sessions = "/redfish/v1/SessionService/Sessions"

    def has(self, fault: str) -> bool:
        """Whether the BMC has a fault."""
        return fault in self.state["faults"]

    def etag(self) -> str:
        """The ETag of the settings object."""
        return f'"{self.state["generation"]:08x}"'

    def shown(self) -> tuple[dict[str, Any], str | None]:
        """The settings that are shown as the current ones, and Dell's job."""
        late = self.state["late"]
        if late and late["left"] > 0:
            return late["shown"], late["job"]
        attributes = dict(self.state["attributes"])
        if self.has("early") and self.state["job"]:
            attributes.update(self.state["pending"])
        return attributes, self.state["job"]

    def get(self, path: str) -> dict[str, Any]:
        """The resource at a path, without a query and with or without a slash at its end."""
        resources = {
            "/redfish/v1": self.of_root,
            "/redfish/v1/Systems": lambda: members(f"/redfish/v1/Systems/{name}" for name in self.shape.systems),
            self.system: self.of_system,
            self.manager: self.of_manager,
        }
        if not self.has("no bios"):
            resources.update({self.bios: self.of_bios, self.settings: self.of_settings})
        if self.state["vendor"] == "dell":
            resources[self.jobs] = self.of_jobs
        listed = f"/redfish/v1/Registries/{self.shape.listed}"
        if not self.has("no registry"):
            resources["/redfish/v1/Registries"] = lambda: members(["/redfish/v1/Registries/Base.1.12.0", listed])
            resources[listed] = lambda: {
                "Location": [
                    {"Language": "ja", "Uri": "/nowhere"},
                    {"Language": "en", "Uri": self.shape.registry_uri},
                ]
            }
            resources[self.shape.registry_uri] = self.of_registry
        found = {uri.rstrip("/"): make for uri, make in resources.items()}.get(path.rstrip("/"))
        if found is None:
            raise Rejection(404, f"The resource at the URI {path} was not found.")
        return found()

    def of_root(self) -> dict[str, Any]:
        """The service root."""
        root: dict[str, Any] = {
            "RedfishVersion": "1.15.0",
            "Systems": {"@odata.id": "/redfish/v1/Systems"},
            "Managers": {"@odata.id": "/redfish/v1/Managers"},
            "Registries": {"@odata.id": "/redfish/v1/Registries"},
            "Links": {"Sessions": {"@odata.id": self.sessions}},
            "Oem": {self.shape.oem: {}},
        }
        return {**root, "Vendor": self.shape.vendor} if self.shape.vendor else root

    def of_system(self) -> dict[str, Any]:
        """The host."""
        serial, uuid = self.state["host"]["serial"], self.state["host"]["uuid"]
        if self.shape.identity == "swapped":
            first, second, third, *rest = uuid.split("-")
            uuid = "-".join(["".join(re.findall("..", part)[::-1]) for part in (first, second, third)] + rest).upper()
        body: dict[str, Any] = {
            "Id": self.shape.systems[0],
            "Manufacturer": self.shape.maker,
            "Model": self.shape.model,
            "SKU": "P00000-B21",
            "SerialNumber": serial,
            "UUID": uuid,
            "Links": {"ManagedBy": [{"@odata.id": self.manager}]},
            "Actions": {"#ComputerSystem.Reset": {"target": f"{self.system}/Actions/ComputerSystem.Reset"}},
        }
        if self.shape.identity == "service tag":
            body.update(SKU=serial, SerialNumber="CN0000000000AB")
        return body if self.has("no bios") else {**body, "Bios": {"@odata.id": self.bios}}

    def of_manager(self) -> dict[str, Any]:
        """The BMC itself."""
        links = {"Oem": {"Dell": {"Jobs": {"@odata.id": self.jobs}}}} if self.state["vendor"] == "dell" else {}
        return {"Id": self.shape.manager, "Links": links}

    def of_bios(self) -> dict[str, Any]:
        """The current settings. A BMC that is late counts how often it shows them."""
        about: dict[str, Any] = {"SettingsObject": {"@odata.id": self.settings}, "Messages": self.state["messages"]}
        if self.shape.apply_times:
            about["SupportedApplyTimes"] = list(self.shape.apply_times)
        if self.has("no settings object"):
            about = {}
        attributes, _job = self.shown()
        if self.state["late"]:
            self.state["late"]["left"] -= 1
        return {
            "Id": "Bios",
            "AttributeRegistry": self.shape.named,
            "Attributes": attributes,
            "@Redfish.Settings": about,
        }

    def of_settings(self) -> dict[str, Any]:
        """The settings of the next boot, as this vendor shows them."""
        pending = self.state["pending"]
        if self.shape.pending == "full":
            return {"Attributes": {**self.state["attributes"], **pending}}
        return {"Attributes": pending} if pending or self.shape.pending == "sparse" else {}

    def of_jobs(self) -> dict[str, Any]:
        """Dell's jobs: an old one, one of another kind, and the one for the settings."""
        done = {"Id": "JID_000", "JobType": "BIOSConfiguration", "JobState": "Completed"}
        other = {"Id": "JID_900", "JobType": "FirmwareUpdate", "JobState": "Scheduled"}
        _attributes, job = self.shown()
        own = [{"Id": job, "JobType": "BIOSConfiguration", "JobState": "Scheduled"}] if job else []
        return {"Members": [done, other, *own]}

    def of_registry(self) -> dict[str, Any]:
        """The registry of the settings."""
        read_only = {"ReadOnly": True} if self.has("lockdown") else {}
        entries = [{"AttributeName": name, **entry, **read_only} for name, entry in self.shape.registry.items()]
        rules = [] if self.has("no rules") else list(self.shape.dependencies)
        return {"RegistryEntries": {"Attributes": entries, "Dependencies": rules}}

    def patch(self, path: str, body: dict[str, Any], if_match: str | None) -> str | None:
        """Take settings for the next boot; return the URI of Dell's job, if one was made."""
        if path.rstrip("/") != self.settings.rstrip("/"):
            raise Rejection(405, "Settings are changed elsewhere.")
        if self.has("lockdown"):
            raise Rejection(403, "Unable to complete the operation because the system is in Lockdown mode.")
        if self.has("licence"):
            raise Rejection(
                403, "Not licensed to perform this request. The following licenses SFT-OOB-LIC were needed."
            )
        if self.has("raced"):
            self.state["generation"] += 1
        if self.shape.etag and if_match != self.etag():
            raise Rejection(412, "The ETag supplied did not match the ETag required to change this resource.")
        apply_time = body.get("@Redfish.SettingsApplyTime", {}).get("ApplyTime")
        if apply_time is not None and apply_time not in self.shape.apply_times:
            raise Rejection(400, "The property @Redfish.SettingsApplyTime is not in the list of valid properties.")
        for name, value in body["Attributes"].items():
            self.check_value(name, value)
        if self.state["job"]:
            raise Rejection(
                400, "Pending configuration values are already committed, unable to perform another set operation."
            )
        self.state["generation"] += 1
        self.state["changes"].append(body)
        if self.has("forgets"):
            return None
        self.state["pending"].update(body["Attributes"])
        if self.state["vendor"] != "dell" or apply_time != "OnReset" or self.has("no job"):
            return None
        self.state["job"] = f"JID_{self.state['boots'] + 1:03d}"
        return f"{self.jobs}/{self.state['job']}"

    def check_value(self, name: str, value: Any) -> None:
        """Reject a setting that the BIOS does not have, or a value that it does not take."""
        if name not in self.state["attributes"]:
            raise Rejection(400, f"The property {name} is not in the list of valid properties for the resource.")
        current, entry = self.state["attributes"][name], self.shape.registry.get(name, {})
        # Coded registries: the attribute holds the displayed name, and the BIOS takes nothing else.
        known = [pair["ValueDisplayName"] for pair in entry.get("Value", [])]
        if known and value not in known or current is not None and type(value) is not type(current):
            raise Rejection(
                400, f"The value {value!r} for the property {name} is not in the list of acceptable values."
            )


def members(uris: Any) -> dict[str, Any]:
    """A collection."""
    return {"Members": [{"@odata.id": uri} for uri in uris]}


class Handler(BaseHTTPRequestHandler):
    """Answers the requests to the BMC in `directory`."""

    directory: Path
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Write nothing: the state has the requests."""

    def do_GET(self) -> None:
        """Show a resource."""
        self.answer()

    do_PATCH = do_POST = do_DELETE = do_GET

    def answer(self) -> None:
        """Read the request, and send what the BMC makes of it."""
        length = int(self.headers.get("Content-Length") or 0)
        data = self.rfile.read(length) if length else b""
        with state_of(self.directory) as state:
            state["requests"].append([self.command, self.path])
            try:
                status, body, headers = self.result(state, json.loads(data or b"{}"))
            except Rejection as rejection:
                extended = [{"Message": str(rejection), "MessageId": "Base.1.12.GeneralError"}]
                status, headers = rejection.status, {}
                body = {"error": {"code": "Base.1.12.GeneralError", "@Message.ExtendedInfo": extended}}
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)

    def result(self, state: dict[str, Any], body: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
        """Return status, body and headers of the answer."""
        tree, path = Tree(state), self.path.partition("?")[0]
        if tree.has("redirect"):
            return 308, {}, {"Location": "https://elsewhere.invalid" + self.path}
        if tree.has("no json"):
            return 200, b"<html>This is not a BMC</html>", {}
        if tree.has("busy") and len(state["requests"]) <= 2:
            raise Rejection(503, "The service is temporarily unavailable. Retry in 30 seconds.")
        if self.command == "POST" and path.rstrip("/") == tree.sessions:
            return self.log_in(tree, body)
        if path.rstrip("/") != "/redfish/v1" and not self.allowed(tree):
            raise Rejection(401, "Unable to complete the operation because the credentials are wrong.")
        if self.command == "PATCH":
            job = tree.patch(path, body, self.headers.get("If-Match"))
            return (202, {}, {"Location": job}) if job else (200, {}, {})
        if self.command == "DELETE":
            state["sessions"] -= 1
            return 204, b"", {}
        if self.command == "POST":
            reset(state)
            return 204, b"", {}
        resource = tree.get(path)
        return 200, resource, {"ETag": tree.etag()} if tree.shape.etag and path == tree.settings else {}

    def log_in(self, tree: Tree, body: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
        """Open a session."""
        if [body.get("UserName"), body.get("Password")] != tree.state["login"] or tree.has("no session"):
            raise Rejection(401, "The authentication credentials included with this request are missing or invalid.")
        tree.state["sessions"] += 1
        return 201, {"Id": "1"}, {"X-Auth-Token": TOKEN, "Location": f"{tree.sessions}/1"}

    def allowed(self, tree: Tree) -> bool:
        """Whether the request has a login that counts."""
        if self.headers.get("X-Auth-Token") == TOKEN and tree.state["sessions"] > 0:
            return True
        basic = "Basic " + base64.b64encode(":".join(tree.state["login"]).encode()).decode()
        return self.headers.get("Authorization") == basic and not tree.has("no basic")


def serve(directory: Path, port: int) -> None:
    """Answer requests until the process ends; print the port when it listens."""
    handler = type("BmcHandler", (Handler,), {"directory": directory})
    server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "cert.pem", directory / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    print(server.server_port, flush=True)
    server.serve_forever()


def main() -> int:
    """Serve the BMC of a folder that make() has made."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=Path, help="the folder of the BMC")
    parser.add_argument("--port", type=int, default=0, help="0 is a free one, which is printed")
    options = parser.parse_args()
    serve(options.directory, options.port)
    return 0


if __name__ == "__main__":
    sys.exit(main())
