"""The numbers of linux/audit.h that rules are made of, under auditctl's names."""

from __future__ import annotations

FILTER_PREPEND = 0x10
FILTER_MASK = 0x0F
USER, TASK, EXIT, EXCLUDE, FILESYSTEM, IO_URING = 0, 1, 4, 5, 6, 7

LISTS = {
    "task": TASK,
    "exit": EXIT,
    "user": USER,
    "exclude": EXCLUDE,
    "filesystem": FILESYSTEM,
    "io_uring": IO_URING,
}
LIST_NAMES = {number: name for name, number in LISTS.items()}
ACTIONS = {"never": 0, "always": 2}
ACTION_NAMES = {0: "never", 1: "possible", 2: "always"}

FIELDS = {
    "pid": 0,
    "uid": 1,
    "euid": 2,
    "suid": 3,
    "fsuid": 4,
    "gid": 5,
    "egid": 6,
    "sgid": 7,
    "fsgid": 8,
    "auid": 9,
    "loginuid": 9,
    "pers": 10,
    "arch": 11,
    "msgtype": 12,
    "subj_user": 13,
    "subj_role": 14,
    "subj_type": 15,
    "subj_sen": 16,
    "subj_clr": 17,
    "ppid": 18,
    "obj_user": 19,
    "obj_role": 20,
    "obj_type": 21,
    "obj_lev_low": 22,
    "obj_lev_high": 23,
    "sessionid": 25,
    "fstype": 26,
    "devmajor": 100,
    "devminor": 101,
    "inode": 102,
    "exit": 103,
    "success": 104,
    "path": 105,
    "perm": 106,
    "dir": 107,
    "filetype": 108,
    "obj_uid": 109,
    "obj_gid": 110,
    "field_compare": 111,
    "exe": 112,
    "saddr_fam": 113,
    "a0": 200,
    "a1": 201,
    "a2": 202,
    "a3": 203,
    "key": 210,
}
FIELD_NAMES = {number: name for name, number in FIELDS.items() if name != "loginuid"}

UID_FIELDS = {FIELDS[name] for name in ("uid", "euid", "suid", "fsuid", "auid", "obj_uid")}
GID_FIELDS = {FIELDS[name] for name in ("gid", "egid", "sgid", "fsgid", "obj_gid")}
ARGUMENT_FIELDS = {FIELDS[name] for name in ("a0", "a1", "a2", "a3")}
SUBJECT_FIELDS = {n for name, n in FIELDS.items() if name.startswith("subj_")}
OBJECT_FIELDS = {n for name, n in FIELDS.items() if name.startswith("obj_") and n < 100}
STRING_FIELDS = SUBJECT_FIELDS | OBJECT_FIELDS | {FIELDS[name] for name in ("path", "dir", "exe", "key")}
EXIT_ONLY_FIELDS = OBJECT_FIELDS | {
    FIELDS[name]
    for name in ("path", "dir", "exit", "perm", "filetype", "devmajor", "devminor", "inode", "success", "ppid")
}
EXCLUDE_FIELDS = SUBJECT_FIELDS | {FIELDS[name] for name in ("pid", "uid", "gid", "auid", "msgtype", "exe")}

OPERATORS = {
    "=": 0x40000000,
    "!=": 0x30000000,
    ">": 0x20000000,
    ">=": 0x60000000,
    "<": 0x10000000,
    "<=": 0x50000000,
    "&": 0x08000000,
    "&=": 0x48000000,
}
OPERATOR_NAMES = {number: name for name, number in OPERATORS.items()}
OPERATOR_MASK = 0x78000000
EQUALITY = {OPERATORS["="], OPERATORS["!="]}
EQUALITY_FIELDS = {FIELDS[name] for name in ("exe", "arch", "fstype", "inode")}

PERMISSIONS = {"r": 4, "w": 2, "x": 1, "a": 8}
FILE_TYPES = {
    "socket": 0o140000,
    "link": 0o120000,
    "file": 0o100000,
    "block": 0o060000,
    "dir": 0o040000,
    "character": 0o020000,
    "fifo": 0o010000,
}
FILESYSTEMS = {"tracefs": 0x74726163, "debugfs": 0x64626720}

KEY_SEPARATOR = "\x01"
MAX_FIELDS = 64
MAX_KEY_LENGTH = 256
PATH_MAX = 4096
AF_MAX = 46
SYSCALL_LIMIT = 64 * 32
UNSET = 0xFFFFFFFF
