"""This module builds the system-call filter of a sandbox for `bwrap --seccomp` (classic BPF, see seccomp(2)).

It denies other processes' memory, namespaces and mounts, keys, memory that no rlimit counts (memfd, System V, message
queues), administration, and recent parts of the kernel (io_uring, bpf, perf, userfaultfd). Sockets are limited to the
family AF_UNIX, because a network namespace does not isolate AF_VSOCK. A call newer than the tables fails with ENOSYS.
Namespaces, dropped capabilities and rlimits contain the calls that are allowed; kernel bugs are not covered.
"""

import errno
import platform
import struct
from typing import NamedTuple

from r1_pipeline.errors import NoSandboxError

_X86_64 = """
ptrace 101 process_vm_readv 310 process_vm_writev 311 pidfd_getfd 438 kcmp 312 process_madvise 440 process_mrelease 448
io_uring_setup 425 io_uring_enter 426 io_uring_register 427 bpf 321 perf_event_open 298 userfaultfd 323
add_key 248 request_key 249 keyctl 250
unshare 272 setns 308 mount 165 umount2 166 pivot_root 155 chroot 161 open_tree 428 move_mount 429 fsopen 430
fsconfig 431 fsmount 432 fspick 433 mount_setattr 442 clone3 435
memfd_create 319 memfd_secret 447 vmsplice 278 shmget 29 shmat 30 shmctl 31 shmdt 67 semget 64 semop 65 semctl 66
semtimedop 220 msgget 68 msgsnd 69 msgrcv 70 msgctl 71 mq_open 240 mq_unlink 241 mq_timedsend 242 mq_timedreceive 243
mq_notify 244 mq_getsetattr 245 mbind 237 set_mempolicy 238 set_mempolicy_home_node 450 migrate_pages 256 move_pages 279
personality 135 name_to_handle_at 303 open_by_handle_at 304 inotify_init 253 inotify_init1 294 inotify_add_watch 254
fanotify_init 300 fanotify_mark 301 lookup_dcookie 212
init_module 175 finit_module 313 delete_module 176 kexec_load 246 kexec_file_load 320 reboot 169 swapon 167 swapoff 168
syslog 103 acct 163 quotactl 179 quotactl_fd 443 settimeofday 164 clock_settime 227 clock_adjtime 305 adjtimex 159
sethostname 170 setdomainname 171 vhangup 153 iopl 172 ioperm 173 modify_ldt 154 uselib 134 sysfs 139 _sysctl 156
nfsservctl 180 create_module 174 get_kernel_syms 177 query_module 178
"""
_AARCH64 = """
ptrace 117 process_vm_readv 270 process_vm_writev 271 pidfd_getfd 438 kcmp 272 process_madvise 440 process_mrelease 448
io_uring_setup 425 io_uring_enter 426 io_uring_register 427 bpf 280 perf_event_open 241 userfaultfd 282
add_key 217 request_key 218 keyctl 219
unshare 97 setns 268 mount 40 umount2 39 pivot_root 41 chroot 51 open_tree 428 move_mount 429 fsopen 430
fsconfig 431 fsmount 432 fspick 433 mount_setattr 442 clone3 435
memfd_create 279 memfd_secret 447 vmsplice 75 shmget 194 shmat 196 shmctl 195 shmdt 197 semget 190 semop 193 semctl 191
semtimedop 192 msgget 186 msgsnd 189 msgrcv 188 msgctl 187 mq_open 180 mq_unlink 181 mq_timedsend 182
mq_timedreceive 183 mq_notify 184 mq_getsetattr 185 mbind 235 set_mempolicy 237 set_mempolicy_home_node 450
migrate_pages 238 move_pages 239
personality 92 name_to_handle_at 264 open_by_handle_at 265 inotify_init1 26 inotify_add_watch 27
fanotify_init 262 fanotify_mark 263 lookup_dcookie 18
init_module 105 finit_module 273 delete_module 106 kexec_load 104 kexec_file_load 294 reboot 142 swapon 224 swapoff 225
syslog 116 acct 89 quotactl 60 quotactl_fd 443 settimeofday 170 clock_settime 112 clock_adjtime 266 adjtimex 171
sethostname 161 setdomainname 162 vhangup 58 nfsservctl 42
"""
_LAST = 450  # set_mempolicy_home_node, Linux 5.17
_NR, _ARCH, _FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data; arguments are 64 bits, low half first
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_AF_UNIX = 1
_CLONE_NEW_ANY = 0x7E020000
_OPCODES = {"load": 0x20, "equal": 0x15, "above": 0x25, "any_bit": 0x45, "return": 0x06}


class _Machine(NamedTuple):
    audit_arch: int
    socket: int
    socketpair: int
    clone: int
    denied: str


_MACHINES = {
    "x86_64": _Machine(0xC000003E, 41, 53, 56, _X86_64),
    "aarch64": _Machine(0xC00000B7, 198, 199, 220, _AARCH64),
}


class _Step(NamedTuple):
    """One instruction; a comparison jumps to `target` when it holds and falls through otherwise."""

    verb: str
    value: int
    target: str = ""
    label: str = ""


def _assemble(steps: list[_Step]) -> bytes:
    places = {step.label: place for place, step in enumerate(steps) if step.label}
    return b"".join(
        struct.pack("<HBBI", _OPCODES[step.verb], places[step.target] - place - 1 if step.target else 0, 0, step.value)
        for place, step in enumerate(steps)
    )


def denied_calls(machine: str) -> dict[str, int]:
    """Returns the numbers, by name, of the system calls that the filter of `machine` denies with any arguments."""
    words = _MACHINES[machine].denied.split()
    return dict(zip(words[::2], map(int, words[1::2]), strict=True))


def system_call_filter(machine: str) -> bytes:
    """Returns the filter for a machine type (`platform.machine()`); raises `NoSandboxError` for an unknown one."""
    if machine not in _MACHINES:
        raise NoSandboxError(f"no system-call filter for {machine}; programs can be run on {' and '.join(_MACHINES)}")
    tables, denied = _MACHINES[machine], denied_calls(machine)
    clone3 = denied.pop("clone3")
    return _assemble(
        [
            _Step("load", _ARCH),
            _Step("equal", tables.audit_arch, "known machine"),
            _Step("return", _KILL),
            _Step("load", _NR, label="known machine"),
            _Step("above", _LAST, "absent"),
            _Step("equal", clone3, "absent"),  # a filter cannot read its flags, which are in memory; libc uses clone
            *(_Step("equal", number, "denied") for number in sorted(denied.values())),
            _Step("equal", tables.clone, "clone"),
            _Step("equal", tables.socket, "socket"),
            _Step("equal", tables.socketpair, "socket"),
            _Step("return", _ALLOW),
            _Step("load", _FIRST_ARGUMENT, label="clone"),
            _Step("any_bit", _CLONE_NEW_ANY, "denied"),
            _Step("return", _ALLOW),
            _Step("load", _FIRST_ARGUMENT, label="socket"),
            _Step("equal", _AF_UNIX, "local"),
            _Step("return", _ERRNO | errno.EAFNOSUPPORT),
            _Step("return", _ALLOW, label="local"),
            _Step("return", _ERRNO | errno.EPERM, label="denied"),
            _Step("return", _ERRNO | errno.ENOSYS, label="absent"),
        ]
    )


def own_filter() -> bytes:
    """Returns the filter for this machine."""
    return system_call_filter(platform.machine())
