"""Records of user space, sent to the kernel as the programs that write them do (audit_log_user_message(3))."""

from __future__ import annotations

import subprocess
from pathlib import Path

from auditdeck.audit.client import AuditSocket
from auditdeck.audit.record import TYPE_NUMBERS

SSHD = 'exe="/usr/sbin/sshd" hostname={host} addr={host} terminal=ssh res={result}'
TOOL = 'exe="/usr/sbin/{tool}" hostname=? addr=? terminal=pts/3 res={result}'
MESSAGES: list[tuple[str, str]] = [
    ("USER_LOGIN", 'op=login acct="ada" ' + SSHD.format(host="198.51.100.7", result="failed")),
    ("USER_LOGIN", "op=login id=1000 " + SSHD.format(host="198.51.100.7", result="success")),
    ("USER_LOGIN", 'op=login acct=286E6F6E6529 ' + SSHD.format(host="2001:db8::7", result="failed")),
    ("USER_AUTH", 'op=PAM:authentication grantors=? acct="ada" ' + SSHD.format(host="198.51.100.7", result="failed")),
    ("USER_AUTH", 'op=PAM:authentication grantors=pam_unix acct="ada" ' + SSHD.format(host="198.51.100.8", result="success")),
    ("USER_ACCT", 'op=PAM:accounting grantors=pam_unix acct="ada" ' + SSHD.format(host="198.51.100.8", result="success")),
    ("CRED_ACQ", 'op=PAM:setcred grantors=pam_unix acct="ada" ' + SSHD.format(host="198.51.100.8", result="success")),
    ("USER_START", 'op=PAM:session_open grantors=pam_unix acct="ada" ' + SSHD.format(host="198.51.100.8", result="success")),
    ("USER_END", 'op=PAM:session_close grantors=pam_unix acct="ada" ' + SSHD.format(host="198.51.100.8", result="success")),
    ("CRED_DISP", 'op=PAM:setcred grantors=pam_unix acct="ada" ' + SSHD.format(host="198.51.100.8", result="success")),
    ("USER_LOGOUT", "op=login id=1000 " + SSHD.format(host="198.51.100.8", result="success")),
    ("USER_CMD", 'cwd="/home/ada" cmd=6370202D72206120622F63206427 exe="/usr/bin/sudo" terminal=pts/3 res=success'),
    ("USER_CMD", 'cwd="/root" cmd="id" exe="/usr/bin/sudo" terminal=? res=failed'),
    ("ADD_USER", 'op=add-user acct="bob" ' + TOOL.format(tool="useradd", result="success")),
    ("ADD_USER", "op=add-user id=1001 " + TOOL.format(tool="useradd", result="success")),
    ("ADD_GROUP", 'op=add-group acct="bob" ' + TOOL.format(tool="useradd", result="success")),
    ("USER_CHAUTHTOK", 'op=change-password acct="bob" ' + TOOL.format(tool="passwd", result="failed")),
    ("USER_MGMT", 'op=add-user-to-group grp="adm" acct="bob" ' + TOOL.format(tool="usermod", result="failed")),
    ("GRP_MGMT", "op=modify-group acct=626F6220 " + TOOL.format(tool="groupmod", result="success")),
    ("DEL_USER", "op=delete-user id=1001 " + TOOL.format(tool="userdel", result="success")),
    ("DEL_GROUP", 'op=delete-group acct="bob" ' + TOOL.format(tool="userdel", result="success")),
    ("SERVICE_START", 'unit=cron comm="systemd" exe="/usr/lib/systemd/systemd" hostname=? addr=? terminal=? res=success'),
    ("SERVICE_STOP", 'unit=cron comm="systemd" exe="/usr/lib/systemd/systemd" hostname=? addr=? terminal=? res=failed'),
    ("SYSTEM_BOOT", ' comm="systemd-update-utmp" exe="/usr/lib/systemd/systemd-update-utmp" hostname=? addr=? terminal=? res=success'),
    ("SYSTEM_RUNLEVEL", 'old-level=N new-level=5 comm="systemd-update-utmp" exe="/usr/lib/systemd/systemd-update-utmp" hostname=? addr=? terminal=? res=success'),
    ("SOFTWARE_UPDATE", 'op=install sw="nginx-1.27" sw_type=rpm key_enforce=0 gpg_res=1 root_dir="/" comm="dnf" exe="/usr/bin/python3" hostname=? addr=? terminal=? res=success'),
    ("CRYPTO_KEY_USER", "op=destroy kind=server fp=SHA256:ab:cd direction=? spid=77 suid=0 " + SSHD.format(host="?", result="success")),
    ("CRYPTO_SESSION", "op=start direction=from-client cipher=aes256-gcm ksize=256 mac=<implicit> pfs=curve25519 spid=78 suid=74 rport=5022 laddr=192.0.2.1 lport=22 " + SSHD.format(host="198.51.100.9", result="success")),
    ("ANOM_LOGIN_FAILURES", 'pam_faillock uid=1000 exe="/usr/sbin/sshd" hostname=? addr=? terminal=ssh res=success'),
    ("ANOM_LOGIN_ACCT", 'op=login acct="root" ' + SSHD.format(host="198.51.100.9", result="failed")),
    ("RESP_ACCT_LOCK", 'pam_faillock uid=1000 exe="/usr/sbin/sshd" hostname=? addr=? terminal=ssh res=success'),
    ("VIRT_CONTROL", 'virt=kvm op=start reason=booted vm="web 1" uuid=4dea22b3-1d52-d8f3-2516-782e98ab3fa0 vm-pid=7 exe="/usr/sbin/libvirtd" hostname=? addr=? terminal=? res=success'),
    ("USER_ROLE_CHANGE", "pam: default-context=a:b:c:d selected-context=a:b:c:d exe=\"/usr/bin/login\" hostname=? addr=? terminal=tty1 res=success"),
    ("ROLE_ASSIGN", 'op=login-sename,role,range acct="ada" old-seuser=user_u old-role=user_r old-range=s0 new-seuser=staff_u new-role=staff_r new-range=s0 ' + TOOL.format(tool="semanage", result="success")),
    ("USYS_CONFIG", "op=changing-system-time " + TOOL.format(tool="hwclock", result="success")),
    ("LABEL_LEVEL_CHANGE", 'printer=office uri=ipp banners=none,none range=unknown ' + TOOL.format(tool="cupsd", result="success")),
    ("GRP_AUTH", 'op=changing acct="ada" grp="adm" exe="/usr/bin/newgrp" hostname=? addr=? terminal=pts/1 res=failed'),
]  # fmt: skip


def send(kernel: AuditSocket, kind: str, text: str) -> None:
    kernel.request(TYPE_NUMBERS[kind.encode()], text.encode() + b"\0", f"send a {kind} record", answered=False)


def send_all(kernel: AuditSocket) -> None:
    for kind, text in MESSAGES:
        send(kernel, kind, text)


def crash() -> None:
    """A program ends by a signal: ANOM_ABEND."""
    subprocess.run(["sh", "-c", "kill -SEGV $$"], check=False, stderr=subprocess.DEVNULL, cwd="/")


def use_accounts(folder: Path) -> None:
    """The real tools, on account databases of their own: ADD_USER, USER_MGMT, DEL_USER … as shadow writes them."""
    for name in ("etc", "home"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name in ("passwd", "group", "shadow", "gshadow"):
        (folder / "etc" / name).write_text("")
    for command in (
        ["groupadd", "--prefix", str(folder), "crew"],
        ["useradd", "--prefix", str(folder), "--no-create-home", "cleo"],
        ["usermod", "--prefix", str(folder), "--comment", "Cleo", "cleo"],
        ["userdel", "--prefix", str(folder), "cleo"],
        ["groupdel", "--prefix", str(folder), "crew"],
    ):
        subprocess.run(command, check=False, capture_output=True)


def become_someone_else() -> None:
    """su of root to another user, and of another user with a wrong password."""
    subprocess.run(["su", "-s", "/bin/true", "nobody"], check=True)
