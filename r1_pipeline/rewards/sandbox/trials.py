"""The ten representative attacks, as programs, which `self_test` runs."""

from typing import NamedTuple

from r1_pipeline.rewards.sandbox.runner import TestStatus

LIMIT_S, CUT_S = 5.0, 0.3
"""The time limits, in seconds, of an attack that ends by itself and of one that never does."""
HONEST = "print(input()[::-1])"
"""An honest program that prints its input backwards; a sandbox runs it first."""
_FILES = """
for path in (SECRET, "/etc/passwd", "/proc/1/root/etc/passwd", "/proc/self/root" + SECRET, "../../.." + SECRET):
    try: print("read", path, open(path).read(40))
    except OSError: pass
"""
_PROCESSES = """
import os
seen = [name for name in os.listdir("/proc") if name.isdigit()]
if len(seen) > 5: print("sees", len(seen), "processes")
for pid in seen:
    try: found = open(f"/proc/{pid}/environ").read()
    except OSError: continue
    if TOKEN in found: print("environment of", pid)
"""
_WRITES = """
import os
for folder in (CANARY, "/", "/tmp", "/job", "/dev", "/dev/shm", "/usr/bin", "/usr/lib", "/proc/1/root/tmp", "/etc"):
    try: open(folder + "/left-behind", "w"); print("wrote in", folder)
    except OSError: pass
try: os.chmod(SECRET, 0o777); print("chmod")
except OSError: pass
"""
_NETWORK = """
import socket
for family in (2, 10, 16, 17, 38, 40, 44):
    for kind in (1, 2, 3, 5):
        for protocol in (0, 132, 262):
            try: socket.socket(family, kind, protocol); print("socket", family, kind, protocol)
            except OSError: pass
try: socket.create_connection(("127.0.0.1", int(PORT)), 1); print("connected")
except OSError: pass
"""
_KERNEL = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\\t" in line)
for name, value in (("NoNewPrivs", "1"), ("Seccomp", "2"), ("CapEff", "0" * 16), ("CapBnd", "0" * 16)):
    if status[name] != value: print(name, status[name])
if "Seccomp:\\t2" not in open("/proc/1/status").read(): print("init is not filtered")
for flags in (0x10000000, 0x00020000, 0x40000000):
    if libc.unshare(flags) == 0: print("unshare", flags)
if libc.ptrace(16, os.getppid(), 0, 0) >= 0:
    print("ptrace")
    os.waitpid(os.getppid(), 0x40000000)  # it is let go, for it has to tell
    libc.ptrace(17, os.getppid(), 0, 0)
if libc.mount(b"x", b"/tmp", b"tmpfs", 0, 0) >= 0: print("mount")
if libc.memfd_create(b"x", 0) >= 0 or libc.shmget(0, 99, 896) >= 0: print("memory that no limit counts")
if libc.syscall(425, 8, ctypes.create_string_buffer(200)) >= 0: print("io_uring")
"""
_FORKS = """
import os, time
count = 0
try:
    while count < 500:
        if os.fork() == 0: time.sleep(60)
        count += 1
except OSError: pass
if count > 64: print(count, "processes")
"""
_DAEMON = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0: time.sleep(60)
"""


class Trial(NamedTuple):
    """An attack and the status with which it must end."""

    name: str
    source: str
    """The program, which prints nothing unless it succeeds; `self_test` defines the names of its targets."""
    status: TestStatus
    """The status with which a contained attack ends."""
    limit_s: float
    """The time limit of the attack, in seconds of wall time."""


TRIALS = (
    Trial("reads files", _FILES, "finished", LIMIT_S),
    Trial("sees processes", _PROCESSES, "finished", LIMIT_S),
    Trial("writes", _WRITES, "finished", LIMIT_S),
    Trial("reaches the network", _NETWORK, "finished", LIMIT_S),
    Trial("reaches into the kernel", _KERNEL, "finished", LIMIT_S),
    Trial("never ends", "while True: pass", "out_of_time", CUT_S),
    Trial("fills the memory", "hoard = []\nwhile True: hoard.append(bytearray(1 << 24))", "out_of_memory", LIMIT_S),
    Trial("forks for ever", _FORKS, "finished", LIMIT_S),
    Trial("leaves a daemon", _DAEMON, "finished", LIMIT_S),
    Trial("prints for ever", "while True: print('x' * 4096)", "too_large", LIMIT_S),
)
"""The attacks of the self-test, in order."""
