"""PATH records: `auditd.paths` as they are, and the one that is the event's `file`."""

from __future__ import annotations

import posixpath
import stat
from typing import Any

from auditdeck.context.users import Users
from auditdeck.ecs.part import Part, Whole
from auditdeck.ecs.people import name_of
from auditdeck.ecs.syscalls import integer

TYPES = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "dir",
    stat.S_IFLNK: "symlink",
    stat.S_IFCHR: "character-device",
    stat.S_IFBLK: "block-device",
    stat.S_IFIFO: "named-pipe",
    stat.S_IFSOCK: "socket",
}


def files_part(
    paths: list[dict[str, str]],
    names: list[dict[str, str]],
    cwd: str,
    users: Users,
    *,
    preference: str | None,
    scripts: bool,
) -> Part:
    """Of PATH records, auditd's enrichment of each, and the working directory.

    `preference` says which of them is the event's file: "created", "deleted", "" for any, None if it is about no file.
    `scripts`: whether a program was executed with them.
    """
    part: Part = {"process": {"working_directory": cwd}} if cwd else {}
    if not paths:
        return part
    described = [path_of(path, name, users) for path, name in zip(paths, names, strict=True)]
    auditd = part["auditd"] = {"paths": described}
    main = main_path(described, preference) if preference is not None else None
    if main is not None:
        part["file"] = file = file_of(main, cwd)
        if preference == "" and main.get("nametype") == "CREATE":
            part["event"] = {"type": ["access", "creation"]}
        if file["path"]:
            auditd["summary"] = {"object": {"primary": file["path"]}}
    if scripts and (script := script_of(paths, cwd)):
        part["auditdeck"] = {"script": script}
    return part


def path_of(fields: dict[str, str], names: dict[str, str], users: Users) -> dict[str, Any]:
    """One PATH record for `auditd.paths`: its own fields, with the owner's names beside the numbers."""
    path: dict[str, Any] = dict(fields)
    if "objtype" in path:
        # What RHEL 7 calls it.
        path["nametype"] = path.pop("objtype")
    for kind, known in (("ouid", users.user), ("ogid", users.group)):
        if kind in fields and (name := name_of(names, kind, fields[kind], known)):
            path[f"{kind}_name"] = name
    return path


def main_path(paths: list[dict[str, Any]], preference: str) -> dict[str, Any] | None:
    """The path that an event is about: the one created or deleted if that is asked for, else the first no parent."""
    wanted = {"created": "CREATE", "deleted": "DELETE"}.get(preference)
    ordered = sorted(paths, key=lambda path: integer(path.get("item")) or 0)
    for nametype in (wanted, "NORMAL", "CREATE", "DELETE", "UNKNOWN"):
        for path in ordered:
            if nametype and path.get("nametype") == nametype and "name" in path:
                return path
    return next((path for path in ordered if "name" in path), None)


def script_of(paths: list[dict[str, str]], cwd: str) -> str:
    """The script that an execve(2) ran with an interpreter; "" if it ran a program itself.

    The kernel opens the script, the interpreter, and the interpreter's loader, and has a PATH record of each; of a
    program it opens the program and its loader (ld.so(8)).
    """
    named = {path["item"]: path["name"] for path in paths if "item" in path and "name" in path}
    script, interpreter = named.get("0", ""), named.get("1", "")
    if not script or not interpreter or posixpath.basename(interpreter).startswith(("ld-", "ld.")):
        return ""
    return absolute(script, cwd)


def absolute(name: str, cwd: str) -> str:
    """A path joined to the working directory, `.` and `..` taken out; as it is where no directory is known."""
    if not name.startswith("/") and not cwd:
        return name
    return posixpath.normpath(posixpath.join(cwd, name))


def file_of(path: dict[str, Any], cwd: str) -> Part:
    """ECS `file.*` of a path."""
    full = absolute(path["name"], cwd)
    file: dict[str, Any] = {"path": full, "name": posixpath.basename(full), "directory": posixpath.dirname(full)}
    mode = integer(path.get("mode"), 8)
    if mode is not None and 0 <= mode <= 0xFFFF:
        file["mode"] = f"{stat.S_IMODE(mode):04o}"
        file["type"] = TYPES.get(stat.S_IFMT(mode), "file")
    for source, target in (("inode", "inode"), ("dev", "device"), ("ouid", "uid"), ("ogid", "gid")):
        if source in path:
            file[target] = path[source]
    for source, target in (("ouid_name", "owner"), ("ogid_name", "group")):
        if source in path:
            file[target] = path[source]
    extension = posixpath.splitext(file["name"])[1]
    if extension:
        file["extension"] = extension[1:]
    return Whole((name, value) for name, value in file.items() if value != "")
