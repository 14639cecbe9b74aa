"""Writes collector/auditdeck/kernel/tables/ from the kernel's and libaudit's C headers.

Needs Debian's linux-libc-dev and its arm64, armhf and i386 cross packages, and libaudit-dev (whose header alone
names the record types of user space). Run it as `make tables`; what it writes is committed.
"""

from __future__ import annotations

import pprint
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

TABLES = Path(__file__).parent.parent / "collector/auditdeck/kernel/tables"
INCLUDE = Path("/usr/include")

UNISTD = {
    "x86_64": INCLUDE / "x86_64-linux-gnu/asm/unistd_64.h",
    "i386": Path("/usr/i686-linux-gnu/include/asm/unistd_32.h"),
    "aarch64": Path("/usr/aarch64-linux-gnu/include/asm/unistd.h"),
    "arm": Path("/usr/arm-linux-gnueabihf/include/asm/unistd.h"),
}
DEFINE = re.compile(r"^#define[ \t]+(\w+)[ \t]+(.+?)[ \t]*$", re.MULTILINE)

# Newer than Debian 12's headers (Linux 6.1). From 424 on every architecture uses the same numbers.
NEWER_SYSCALLS = {
    451: "cachestat", 452: "fchmodat2", 453: "map_shadow_stack", 454: "futex_wake", 455: "futex_wait",
    456: "futex_requeue", 457: "statmount", 458: "listmount", 459: "lsm_get_self_attr", 460: "lsm_set_self_attr",
    461: "lsm_list_modules", 462: "mseal", 463: "setxattrat", 464: "getxattrat", 465: "listxattrat",
    466: "removexattrat", 467: "open_tree_attr", 468: "file_getattr", 469: "file_setattr",
}  # fmt: skip
NEWER_RECORD_TYPES = {
    1420: "IPE_ACCESS",
    1421: "IPE_CONFIG_CHANGE",
    1422: "IPE_POLICY_LOAD",
    1423: "LANDLOCK_ACCESS",
    1424: "LANDLOCK_DOMAIN",
    1425: "MAC_TASK_CONTEXTS",
    1426: "MAC_OBJ_CONTEXTS",
}


def macros(header: str, *flags: str) -> dict[str, str]:
    """All object-like macros that are defined after including `header`."""
    source = f"#include <{header}>\n"
    result = subprocess.run(["cpp", "-dM", *flags, "-"], input=source, capture_output=True, text=True, check=True)
    return dict(DEFINE.findall(result.stdout))


def number(expression: str, known: dict[str, str]) -> int | None:
    """The value of a constant C expression, None where it is not one."""
    for _ in range(8):
        expanded = re.sub(r"\b[A-Za-z_]\w*\b", lambda m: f"({known[m[0]]})" if m[0] in known else m[0], expression)
        if expanded == expression:
            break
        expression = expanded
    expression = re.sub(r"\b(0[xX][0-9a-fA-F]+|\d+)[uUlL]+\b", r"\1", expression)
    expression = re.sub(r"\(\s*(unsigned\s+)?int\s*\)", "", expression)
    if not re.fullmatch(r"[\s0-9a-fA-FxX()|+*/<>~-]+", expression):
        return None
    try:
        value = eval(re.sub(r"\b0+(?=[1-9])", "", expression), {"__builtins__": {}})
    except (SyntaxError, TypeError):
        return None
    return int(value)


def syscalls(header: Path) -> dict[int, str]:
    directory = header.parent.parent
    known = macros("asm/unistd.h", "-nostdinc", f"-I{directory}", f"-I{INCLUDE}", *abi_flags(header))
    table = dict(NEWER_SYSCALLS)
    for name, expression in known.items():
        if not name.startswith(("__NR_", "__ARM_NR_")):
            continue
        if re.search(r"(_Linux|_MAX|_BASE|_syscalls|_cmpxchg|SYSCALL_MASK|arch_specific|_sync_file_range2$)", name):
            continue
        value = number(expression, known)
        if value is not None:
            table[value] = re.sub(r"^__(ARM_)?NR3264_|^__(ARM_)?NR_", "", name)
    return dict(sorted(table.items()))


def abi_flags(header: Path) -> list[str]:
    # cpp runs as x86-64: what the headers ask for about the architecture is said by hand.
    if "aarch64" in str(header):
        return ["-U__x86_64__", "-D__aarch64__", "-D__BITS_PER_LONG=64"]
    if "arm-" in str(header):
        return ["-U__x86_64__", "-D__arm__", "-D__ARM_EABI__"]
    if "i686" in str(header):
        return ["-U__x86_64__", "-D__i386__"]
    return []


def prefixed(known: dict[str, str], prefix: str, skip: Iterable[str] = ()) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, expression in known.items():
        if name.startswith(prefix) and name not in skip:
            value = number(expression, known)
            if value is not None:
                found[name] = value
    return dict(sorted(found.items(), key=lambda item: (item[1], item[0])))


def record_types(audit: dict[str, str]) -> dict[int, str]:
    table = dict(NEWER_RECORD_TYPES)
    for name, value in prefixed(audit, "AUDIT_").items():
        short = name.removeprefix("AUDIT_")
        if not 1000 <= value < 3000 or re.match(r"(FIRST|LAST)_|.*_(MAX|LEN|LAST_MSG)$", short) or value in table:
            continue
        table[value] = short
    return dict(sorted(table.items()))


def io_uring_operations() -> dict[int, str]:
    header = (INCLUDE / "linux/io_uring.h").read_text()
    body = re.search(r"enum io_uring_op \{(.*?)\};", header, re.DOTALL)
    assert body, "linux/io_uring.h has no enum io_uring_op"
    names = re.findall(r"\bIORING_OP_(\w+)", re.sub(r"/\*.*?\*/", "", body[1], flags=re.DOTALL))
    return {number: name.lower() for number, name in enumerate(names) if name != "LAST"}


ALIASES = {"EDEADLOCK", "EWOULDBLOCK", "ENOTSUP"}


def write(name: str, doc: str, **tables: object) -> None:
    lines = [f'"""{doc}\n\nGenerated by scripts/generate_tables.py; do not edit.\n"""\n']
    for variable, value in tables.items():
        keys = type(next(iter(value.keys()))).__name__ if isinstance(value, dict) else ""
        sample = next(iter(value.values())) if isinstance(value, dict) else ""
        kind = f"dict[{keys}, {type(sample).__name__ if not isinstance(sample, dict) else 'dict[int, str]'}]"
        lines.append(f"{variable}: {kind} = {pprint.pformat(value, sort_dicts=False, width=110)}\n")
    (TABLES / f"{name}.py").write_text("\n".join(lines))
    print(f"{name}.py: {', '.join(f'{k} {len(v)}' for k, v in tables.items())}")  # type: ignore[arg-type]


def main() -> None:
    TABLES.mkdir(exist_ok=True)
    write(
        "syscalls",
        "System call names by audit architecture and number (asm/unistd.h of Debian's linux-libc-dev).",
        SYSCALLS={arch: syscalls(header) for arch, header in UNISTD.items()},
    )
    write(
        "io_uring",
        "io_uring operations by number (linux/io_uring.h).",
        IO_URING_OPERATIONS=io_uring_operations(),
    )
    audit = macros("libaudit.h") | macros("linux/audit.h")
    elf = macros("linux/elf-em.h")
    write(
        "record_types",
        "Audit record types by number (linux/audit.h; those of user space from libaudit.h).",
        RECORD_TYPES=record_types(audit),
    )
    rule = {n: v for n, v in prefixed(audit, "AUDIT_").items() if v < 256}
    compare = {n.removeprefix("AUDIT_COMPARE_").lower(): v for n, v in rule.items() if n.startswith("AUDIT_COMPARE_")}
    write("compare", "Field comparisons of rules (AUDIT_COMPARE_* in linux/audit.h).", COMPARE=compare)
    arches = prefixed(audit | elf, "AUDIT_ARCH_")
    write("arches", "Audit architectures (AUDIT_ARCH_* in linux/audit.h).", ARCHES=arches)
    errno = macros("errno.h")
    errors = {v: n for n, v in prefixed(errno, "E", ALIASES).items() if re.fullmatch(r"E[A-Z0-9]+", n)}
    # What a restarted system call returns inside the kernel; audit shows it, user space never does.
    errors |= {512: "ERESTARTSYS", 513: "ERESTARTNOINTR", 514: "ERESTARTNOHAND", 516: "ERESTART_RESTARTBLOCK"}
    write("errors", "errno names by number (asm-generic/errno.h, linux/errno.h).", ERRORS=errors)
    families = {
        v: n.removeprefix("AF_").lower()
        for n, v in reversed(prefixed(macros("sys/socket.h"), "AF_", ["AF_MAX"]).items())
    }
    families |= {1: "unix", 16: "netlink"}
    write("families", "Address family names by number (bits/socket.h).", FAMILIES=dict(sorted(families.items())))
    signals = {
        v: n
        for n, v in reversed(prefixed(macros("signal.h"), "SIG").items())
        if re.fullmatch(r"SIG[A-Z0-9]+", n)
        and 0 < v < 32
        and n not in {"SIGCLD", "SIGIOT", "SIGPOLL", "SIGSTKSZ", "SIGUNUSED"}
    }
    write("signals", "Signal names by number (asm/signal.h).", SIGNALS=dict(sorted(signals.items())))


if __name__ == "__main__":
    main()
