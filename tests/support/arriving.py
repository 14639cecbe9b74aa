"""Lines of logs in every form in which they arrive, with what is to be read from them.

The lines are made in the form that the source shows: audit-userspace (its auparse/test/*.log, src/ausearch-parse.c),
go-libaudit (auparse/testdata/audit-rhel6.log and audit-rhel7.log), laurel (src/testdata), the kernel
(kernel/auditsc.c, kernel/audit.c, kernel/seccomp.c, net/netfilter/x_tables.c), systemd (journald-audit.c) and rsyslog.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

STAMP = "audit(1700000000.123:42)"
WHO = (
    "ppid=1 pid=7 auid=1000 uid=0 gid=0 euid=0 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=(none) ses=1 "
    'comm="x" exe="/usr/bin/x"'
)


def call(number: int, arguments: str = "a0=3 a1=7 a2=10 a3=0", arch: str = "c000003e", rest: str = "") -> str:
    return (
        f"type=SYSCALL msg={STAMP}: arch={arch} syscall={number} success=yes exit=0 {arguments} items=0 {WHO} "
        f"key=(null){rest}"
    )


@dataclass(frozen=True)
class Form:
    """`expected` are fields of the one document that the lines make; None for one that is not there.

    `ausearch`: whether Debian's reads the lines as well, so that its output can be compared.
    """

    name: str
    source: str
    lines: tuple[str, ...]
    expected: dict[str, Any] = field(default_factory=dict)
    ausearch: bool = True

    @property
    def log(self) -> str:
        return "".join(f"{line}\n" for line in self.lines)


LOGIN = "user pid=9 uid=0 auid=1000 ses=3 "
AVC = 'avc:  denied  { read } for  pid=7 comm="x" scontext=a:b:c tcontext=d:e:f tclass=file permissive=1'
APPARMOR = 'apparmor="DENIED" operation="open" profile="/usr/bin/x" name="/etc/shadow" pid=7 comm="x"'
CONFIG = f"type=CONFIG_CHANGE msg={STAMP}: op=set audit_enabled=1 old=0 auid=1000 ses=1 res=1"
CONFIG_BODY = CONFIG.partition(": ")[2]
SET = {"event.action": "changed-audit-configuration", "auditd.data.op": "set", "user.audit.id": "1000"}

FORMS = [
    # Linux until 3.13, and the records of old programs.
    Form(
        "login of RHEL 6",
        "kernel/auditsc.c of Linux 2.6.32",
        (f"type=LOGIN msg={STAMP}: login pid=1884 uid=0 old auid=4294967295 new auid=500 old ses=4294967295 new ses=10",),
        {"user.id": "0", "user.audit.id": "500", "auditd.session": "10", "auditd.data.old-auid": "4294967295",
         "auditd.data.old-ses": "4294967295", "event.action": "changed-login-id-to"},
    ),
    Form(
        "login of RHEL 7",
        "kernel/auditsc.c of Linux 3.14",
        (f"type=LOGIN msg={STAMP}: pid=1884 uid=0 old-auid=4294967295 auid=500 old-ses=4294967295 ses=10 res=1",),
        {"user.audit.id": "500", "auditd.session": "10", "auditd.data.old-auid": "4294967295", "event.outcome": "success"},
    ),
    Form(
        "parentheses of RHEL 5",
        "audit-userspace, auparse/test/test3.log",
        (f"type=USER_START msg={STAMP}: {LOGIN}msg='PAM: session open acct=root : exe=\"/usr/sbin/crond\" "
         "(hostname=?, addr=?, terminal=cron res=success)'",),
        {"event.outcome": "success", "auditd.data.terminal": "cron", "auditd.data.hostname": None,
         "auditd.data.addr": None, "user.target.name": "root", "source": None},
    ),
    Form(
        "parentheses with an address",
        "audit-userspace, src/ausearch-parse.c: parse_user",
        (f"type=USER_LOGIN msg={STAMP}: {LOGIN}msg='acct=\"ada\": exe=\"/usr/sbin/sshd\" "
         "(hostname=192.0.2.9, addr=192.0.2.9, terminal=sshd result=Success)'",),
        {"event.outcome": "success", "auditd.data.terminal": "sshd", "auditd.data.hostname": "192.0.2.9",
         "source.ip": "192.0.2.9", "user.target.name": "ada"},
    ),
    Form(
        "objtype of RHEL 7",
        "go-libaudit, auparse/testdata/audit-rhel7.log",
        (call(257, "a0=ffffff9c a1=7 a2=241 a3=1b6").replace("items=0", "items=1"),
         f'type=PATH msg={STAMP}: item=0 name="/etc/x" inode=1 dev=fe:00 mode=0100644 ouid=0 ogid=0 rdev=00:00 '
         "objtype=CREATE"),
        {"auditd.paths.0.nametype": "CREATE", "auditd.paths.0.objtype": None, "file.path": "/etc/x",
         "event.type": ["access", "creation"]},
    ),
    # What auditd itself wrote.
    Form(
        "configuration of auditd",
        "go-libaudit, auparse/testdata/audit-rhel7.log",
        (f"type=DAEMON_CONFIG msg={STAMP} config changed, auid=0 pid=1512 subj=a:b:c:s0 res=success",),
        {"event.action": "changed-auditd-configuration", "event.outcome": "success", "user.audit.id": "0"},
    ),
    Form(
        "start of an old auditd",
        "audit-userspace, auparse/test/auditd_raw.sed",
        (f"type=DAEMON_START msg={STAMP} auditd start, ver=1.2.5, format=raw, auid=0 pid=1234 res=success",),
        {"event.action": "started-audit", "auditd.data.ver": "1.2.5", "auditd.data.format": "raw", "process.pid": 1234,
         "event.outcome": "success"},
    ),
    Form(
        "start of auditd",
        "go-libaudit, auparse/testdata/audit-rhel7.log",
        (f"type=DAEMON_START msg={STAMP}: auditd start, ver=2.4.1 format=raw kernel=3.10.0 auid=4294967295 pid=251 "
         "res=success",),
        {"event.action": "started-audit", "auditd.data.kernel": "3.10.0"},
    ),
    # Types and ends.
    Form("EOE without a blank", "laurel, src/testdata", (call(42), f"type=EOE msg={STAMP}:"),
         {"auditd.data.syscall": "connect"}),
    Form("a type by its number", "kernel/audit.c: audit_printk_skb", (CONFIG.replace("CONFIG_CHANGE", "1305"),), SET,
         ausearch=False),
    Form("a type that is not known", "laurel, src/testdata: UNDER_SCORE",
         (f"type=UNDER_SCORE msg={STAMP}: uid=0 what=7",),
         {"auditd.message_type": "under_score", "event.action": "under-score", "auditd.data.what": "7"}, ausearch=False),
    Form("a type that auditd did not know", "audit-userspace, lib/libaudit.c",
         (f"type=UNKNOWN[1999] msg={STAMP}: uid=0 what=7",), {"auditd.message_type": "unknown[1999]"}),
    # What stands before a record.
    Form("node=", "auditd.conf(5): name_format", (f"node=web1 {CONFIG}",), SET | {"host.name": "web1"}),
    Form("host=", "rsyslog templates", (f"host=web1 {CONFIG}",), SET | {"host.name": "web1"}, ausearch=False),
    Form("leading blanks", "copies", (f"  {CONFIG}",), SET, ausearch=False),
    Form("a byte order mark", "copies from Windows", (f"\ufeff{CONFIG}\r",), SET, ausearch=False),
    Form("syslog", "RFC 3164, audisp-syslog",
         (f"<13>Nov 24 10:00:00 web1 audispd: {CONFIG}", "Nov 24 10:00:00 web1 sshd[7]: Accepted publickey for ada"),
         SET | {"host.name": "web1"}, ausearch=False),
    Form("syslog with a node", "RFC 3164, audisp-syslog",
         (f"Nov  4 10:00:00 relay audisp-syslog[812]: node=web1 {CONFIG}",), SET | {"host.name": "web1"}, ausearch=False),
    Form("syslog with a modern time", "RFC 5424, rsyslog",
         (f"<110>1 2026-11-24T10:00:00.123456+01:00 web1 audit - - - {CONFIG}",), SET | {"host.name": "web1"},
         ausearch=False),
    Form("rsyslog's imfile", "rsyslog, imfile", (f"2026-11-24T10:00:00+01:00 web1 tag_audit_log: {CONFIG}",),
         SET | {"host.name": "web1"}, ausearch=False),
    Form("the kernel log", "kernel/audit.c: kauditd_printk_skb",
         (f"[   12.345678] audit: type=1400 {STAMP}: {APPARMOR}", "[   12.345679] usb 1-1: new device"),
         {"event.action": "violated-apparmor-policy", "auditd.message_type": "avc"}, ausearch=False),
    Form("the kernel log with dates", "dmesg(1): -T",
         (f"[Tue Nov 24 10:00:00 2026] audit: type=1400 {STAMP}: {APPARMOR}", "[Tue Nov 24 10:00:01 2026] usb 1-1: new"),
         {"event.action": "violated-apparmor-policy"}, ausearch=False),
    Form("the kernel log with levels", "dmesg(1): -r",
         (f"<5>[   12.345678] audit: type=1400 {STAMP}: {APPARMOR}", "<6>[   12.345679] usb 1-1: new device"),
         {"event.action": "violated-apparmor-policy"}, ausearch=False),
    Form("the kernel log by journalctl", "journalctl(1): -k",
         ("-- Boot 0123456789abcdef --", f"Nov 24 10:00:00 web1 kernel: audit: type=1305 {STAMP}: {CONFIG_BODY}"),
         SET | {"host.name": "web1"}, ausearch=False),
    Form("the kernel log in syslog", "kernel/audit.c: kauditd_printk_skb",
         (f"Nov 24 10:00:00 web1 kernel: [   12.345678] audit: type=1305 {STAMP}: {CONFIG_BODY}",),
         SET | {"host.name": "web1"}, ausearch=False),
    Form("the kernel log of old kernels", "kernel/audit.c: audit_printk_skb",
         (f"type=1305 {STAMP}: {CONFIG_BODY}",), SET, ausearch=False),
    Form("journald", "systemd, src/journal/journald-audit.c",
         ('{"_AUDIT_TYPE":"1305","_AUDIT_ID":"42","_SOURCE_REALTIME_TIMESTAMP":"1700000000123000","_HOSTNAME":"web1",'
          '"_TRANSPORT":"audit","MESSAGE":"CONFIG_CHANGE ' + CONFIG_BODY + '"}',
          '{"_TRANSPORT":"syslog","MESSAGE":"Accepted publickey for ada"}'),
         SET | {"host.name": "web1", "auditd.sequence": 42, "@timestamp": "2023-11-14T22:13:20.123Z"}, ausearch=False),
    Form("the kernel log in journald", "systemd, src/journal/journald-kmsg.c",
         ('{"_TRANSPORT":"kernel","_HOSTNAME":"web1","MESSAGE":"audit: type=1305 ' + f'{STAMP}: {CONFIG_BODY}' + '"}',),
         SET | {"host.name": "web1"}, ausearch=False),
    # People.
    Form("a label without a call", "kernel/audit.c: audit_log_task_context",
         (f"type=USER_AUTH msg={STAMP}: pid=9 uid=0 auid=1000 ses=3 subj=system_u:system_r:sshd_t:s0-s0:c0.c1023 "
          "msg='op=PAM:authentication acct=\"ada\" exe=\"/usr/sbin/sshd\" hostname=h.example addr=192.0.2.9 "
          "terminal=ssh res=failed'",),
         {"user.selinux": {"user": "system_u", "role": "system_r", "domain": "sshd_t", "level": "s0-s0",
                           "category": "c0.c1023"},
          "auditd.data.subj": "system_u:system_r:sshd_t:s0-s0:c0.c1023",
          "auditd.summary.object": {"type": "user-session", "primary": "ada", "secondary": "192.0.2.9"},
          "user.target.name": "ada", "source.ip": "192.0.2.9", "event.outcome": "failure"}),
    Form("a label of another module", "security/apparmor/lsm.c",
         (CONFIG.replace("ses=1", "ses=1 subj=unconfined"),), {"user.selinux": None, "auditd.data.subj": "unconfined"}),
    Form("who logs in", "audit-userspace, auparse/normalize.c: USER_LOGIN",
         (f"type=USER_LOGIN msg={STAMP}: pid=9 uid=0 auid=4294967295 ses=4294967295 msg='op=login acct=\"mallory\" "
          "exe=\"/usr/sbin/sshd\" hostname=? addr=2001:db8::7 terminal=ssh res=failed'",),
         {"auditd.summary.actor.primary": "mallory", "source.ip": "2001:db8::7", "user.target.name": "mallory",
          "auditd.summary.object": {"type": "user-session", "primary": "ssh", "secondary": "2001:db8::7"}}),
    Form("only the name of a host", "audit-userspace, src/ausearch-parse.c: parse_user",
         (f"type=USER_LOGIN msg={STAMP}: pid=9 uid=0 auid=1000 ses=3 msg='op=login id=1000 exe=\"/usr/sbin/sshd\" "
          "hostname=h.example addr=? terminal=ssh res=success'",),
         {"source.address": "h.example", "user.target.id": "1000"}),
    Form("a nested uid", "audit-userspace, src/ausearch-parse.c: parse_user",
         (f"type=ANOM_LOGIN_FAILURES msg={STAMP}: pid=9 uid=0 auid=1000 ses=3 msg='pam_faillock uid=4242 "
          "exe=\"/usr/sbin/sshd\" hostname=? addr=? terminal=ssh res=success'",),
         {"user.id": "0", "auditd.data.uid": "4242", "user.target.id": "4242"}),
    Form("a message without its closing quote", "a record that was cut",
         (f"type=USER_LOGIN msg={STAMP}: pid=9 uid=0 auid=1000 ses=3 msg='op=login id=1000 exe=\"/usr/sbin/sshd\" "
          "hostname=? addr=192.0.2.9",),
         {"auditd.data.op": "login", "process.executable": "/usr/sbin/sshd", "source.ip": "192.0.2.9"}),
    # How records are shown.
    Form("blanks and quotes", "security/selinux/avc.c, laurel",
         (call(2, "a0=5 a1=0 a2=0 a3=0"),
          f"type=AVC msg={STAMP}: {AVC}",
          f'type=CWD msg={STAMP}:  cwd="/var/spool"',
          f'type=PATH msg={STAMP}: item=0 name="/x" inode=1 dev="00:2f" mode=0100644 ouid=0 ogid=0 rdev="00:00" '
          'nametype="NORMAL"'),
         {"auditd.data.seperms": "read", "process.working_directory": "/var/spool", "auditd.paths.0.dev": "00:2f"}),
    Form("names of files", "audit-userspace, src/ausearch-parse.c: common_path_parser, parse_avc",
         (call(2, "a0=5 a1=0 a2=0 a3=0").replace("success=yes exit=0", "success=no exit=-13"),
          f'type=AVC msg={STAMP}: ' + AVC.replace("permissive=1", "permissive=0").replace('comm="x"', 'comm="x" name="shadow"'),
          f'type=CWD msg={STAMP}: cwd="/etc"',
          f'type=PATH msg={STAMP}: item=0 name="./shadow" inode=1 dev=fe:00 mode=0100644 ouid=0 ogid=0 rdev=00:00 '
          "nametype=NORMAL"),
         {"auditd.data.name": "shadow", "file.path": "/etc/shadow"}),
    Form("keystrokes", "pam_tty_audit(8)",
         (f'type=TTY msg={STAMP}: tty pid=5 uid=0 auid=1000 ses=3 major=136 minor=0 comm="sh" data=6C73206022740D1B5B417F',),
         {"auditd.data.data": "ls `\"t\r\x1b[A\x7f"}),
    Form("a record whose number means two things", "Ubuntu's kernels: MAC_TASK_CONTEXTS",
         (call(42), f"type=UNKNOWN[1420] msg={STAMP}: subj_apparmor=unconfined"),
         {"event.action": "connected-to", "auditd.data.subj_apparmor": "unconfined"}),
    # Numbers that need each other.
    Form("seccomp", "kernel/auditsc.c: audit_seccomp",
         (f"type=SECCOMP msg={STAMP}: auid=1000 uid=0 gid=0 ses=1 pid=7 comm=\"x\" exe=\"/usr/bin/x\" sig=31 "
          "arch=c000003e syscall=2 compat=0 ip=0x7f code=0x80000000",),
         {"auditd.data.arch": "x86_64", "auditd.data.syscall": "open", "auditd.data.sig": "SIGSYS",
          "auditd.summary.object.primary": "open"}),
    Form("a netfilter table", "net/netfilter/x_tables.c",
         (f"type=NETFILTER_CFG msg={STAMP}: table=filter family=2 entries=4 op=xt_replace pid=7 comm=\"iptables\"",),
         {"auditd.data.family": "ipv4", "auditd.data.table": "filter"}),
    Form("a netfilter table of IPv6", "net/netfilter/x_tables.c",
         (call(54, "a0=4 a1=29 a2=40 a3=5"), f"type=NETFILTER_CFG msg={STAMP}: table=nat family=10 entries=4"),
         {"auditd.data.family": "ipv6", "auditdeck.arguments.a1": "ipv6", "auditdeck.arguments.a2": "IP6T_SO_SET_REPLACE"}),
    Form("an option of IP", "auparse/ipoptnametab.h", (call(54, "a0=4 a1=0 a2=40 a3=5"),),
         {"auditdeck.arguments.a1": "ip", "auditdeck.arguments.a2": "IPT_SO_SET_REPLACE"}),
    Form("an option of sockets", "auparse/sockoptnametab.h", (call(54, "a0=4 a1=1 a2=2 a3=5"),),
         {"auditdeck.arguments.a1": "SOL_SOCKET", "auditdeck.arguments.a2": "SO_REUSEADDR"}),
    Form("an option of UDP", "linux/udp.h", (call(54, "a0=4 a1=11 a2=1 a3=5"),),
         {"auditdeck.arguments.a1": "udp", "auditdeck.arguments.a2": "UDP_CORK"}),
    Form("ipc of i386", "linux/ipc.h", (call(117, "a0=17 a1=0 a2=1000 a3=3b6", "40000003"),),
         {"auditd.data.syscall": "shmget", "event.action": "used-ipc", "auditd.data.arch": "i386"}),
    Form("another architecture, enriched", "laurel, src/testdata: ppc64",
         (call(328, arch="80000015", rest='\x1dARCH=ppc64 SYSCALL=connect AUID="ada" UID="root"'),),
         {"auditd.data.arch": "ppc64", "auditd.data.syscall": "connect", "event.action": "connected-to",
          "user.audit.name": "ada"}),
    Form("another architecture", "linux/audit.h", (call(328, arch="80000016"),),
         {"auditd.data.arch": "s390x", "auditd.data.syscall": "328"}, ausearch=False),
    Form("a big-endian address", "laurel, src/testdata: bind on ppc64",
         (call(327, arch="80000015", rest="\x1dARCH=ppc64 SYSCALL=bind"),
          f"type=SOCKADDR msg={STAMP}: saddr=00020035000000000000000000000000"),
         {"auditd.data.socket.family": "inet", "server.ip": "0.0.0.0", "server.port": 53}, ausearch=False),
    Form("a big-endian address of IPv6", "ipv6(7)",
         (call(42), f"type=SOCKADDR msg={STAMP}: saddr=000A01BB0000000020010DB8000000000000000000000007" + "00000002"),
         {"destination.ip": "2001:db8::7", "destination.port": 443}, ausearch=False),
    Form("the key of an IPC object", "kernel/auditsc.c of Linux 2.6",
         (call(31), f"type=IPC msg={STAMP}: key=41424344 ouid=0 ogid=0 mode=0600"),
         {"auditd.data.key": "41424344", "tags": None}),
    Form("an address alone", "kernel/auditsc.c: AUDIT_SOCKADDR",
         (f"type=SOCKADDR msg={STAMP}: saddr=020001BB080808080000000000000000",),
         {"auditd.data.socket.family": "inet", "auditd.data.saddr": None, "server.ip": "8.8.8.8", "server.port": 443}),
]  # fmt: skip
