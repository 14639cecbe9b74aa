"""The form of go-audit: the records of an event as they came, with the names of the user ids in them.

{"sequence": 1, "timestamp": "1700000000.123", "messages": [{"type": 1300, "data": "arch=…"}], "uid_map": {"0": "root"}}
"""

from __future__ import annotations

import re
from typing import Any

from auditdeck.audit.record import read_line, record_of
from auditdeck.context.users import UID, Users
from auditdeck.ecs.original import OfOriginal

UNKNOWN_USER = "UNKNOWN_USER"
SYSCALL, SECCOMP = 1300, 1326
KUBERNETES = {
    "name": "container.name", "pod_uid": "pod.uid", "pod_name": "pod.name", "pod_namespace": "pod.namespace",
}  # fmt: skip
WITHOUT_UIDS = {1309, 1307, 1306}
UIDS = re.compile(r"uid=(\S+)")


def go_audit(document: dict[str, Any], users: Users) -> dict[str, Any] | None:
    """Made of event.original; None for a document without (the collector's own)."""
    original = document.get("event", {}).get("original")
    if not original:
        return None
    containers, cgroup = containers_of(document), document.get("auditdeck", {}).get("cgroup", "")
    messages: list[dict[str, Any]] = []
    uids: dict[str, str] = {}
    stamp = b""
    for line in original.split("\n"):
        found = read_line(line.encode())
        if found is None:
            # A record's own text went over the end of a line.
            if messages:
                messages[-1]["data"] += "\n" + line
            continue
        record = record_of(found[1], found[2])
        stamp = record.stamp
        data = record.body.decode()
        messages.append({"type": record.kind, "data": data})
        if containers and record.kind in (SYSCALL, SECCOMP):
            messages[-1]["containers"] = containers
        if cgroup and record.kind in (SYSCALL, SECCOMP):
            messages[-1]["extras"] = {"cgroup_root": cgroup}
        if record.kind not in WITHOUT_UIDS:
            for uid in UIDS.findall(data):
                uids.setdefault(uid, name_of(uid, users))
    time, _, sequence = stamp.decode().partition(":")
    return {"sequence": int(sequence), "timestamp": time, "messages": messages, "uid_map": uids}


def containers_of(document: dict[str, Any]) -> dict[str, str]:
    """go-audit's `containers`: the id; if Docker knows it also the image, and what Kubernetes says in the labels."""
    container = document.get("container")
    if not container:
        return {}
    if "image" not in container:
        return {"id": container["id"]}
    image, labels = container["image"], container.get("labels", {})
    name = ":".join([image["name"], *image.get("tag", [])])
    kubernetes = {field: labels.get(f"io.kubernetes.{label}", "") for field, label in KUBERNETES.items()}
    return {"id": container["id"], "image": name, **kubernetes}


def name_of(uid: str, users: Users) -> str:
    return (users.user(int(uid)) if UID.fullmatch(uid) else "") or UNKNOWN_USER


class GoAudit(OfOriginal):
    """Lines of the event log in this form."""

    make = staticmethod(go_audit)

    def begin(self, call: re.Match[bytes]) -> bytes:
        head = b'{"sequence":%b,"timestamp":"%b","messages":[{"type":1300,"data":"'
        return head % call.group(2, 1) + call.string[call.start(3) : call.end()]
