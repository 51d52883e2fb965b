"""Attacks on the machine, by their numbers in the list of 58: confidentiality, integrity, network, availability.

Each is a program on standard input; it prints GOT and what it got when it gets through. The names of the stage
(`SECRET`, `CANARY`, …) are defined before it, and so are these helpers.
"""

from typing import NamedTuple

HELPERS = """
import ctypes, errno, os, signal, socket, sys, time
libc = ctypes.CDLL(None, use_errno=True)
def attempt(what, act, *arguments):
    try: value = act(*arguments)
    except (OSError, ValueError, AttributeError, MemoryError, OverflowError): return
    print("GOT", what, str(value)[:80], flush=True)
def wrote(path):
    with open(path, "wb") as file: file.write(b"x" * 4096)
def syscall(what, number, *arguments):
    if libc.syscall(number, *arguments) >= 0: print("GOT", what, flush=True)
FOLDERS = [CANARY, "/", "/tmp", "/job", "/usr", "/usr/bin", "/usr/lib", "/usr/lib/python3/dist-packages", "/etc",
           "/dev", "/dev/shm", "/proc", "/var/tmp", "/run", "/out", "/proc/1/root/tmp", "/proc/1/cwd", "."]
"""


class Attack(NamedTuple):
    """An attack, the status that its test must have, and the time limit in seconds."""

    number: str
    does: str
    source: str
    ends: str = "finished"
    limit_s: float = 60.0
    detail: str = ""


ATTACKS = [
    Attack("C1", "reads host files by every road", """
for root in ("", "/proc/self/root", "/proc/1/root", "/proc/1/cwd/..", "../../../..", "/usr/lib/../.."):
    for path in ("/etc/passwd", "/etc/shadow", SECRET): attempt(root + path, lambda: open(root + path).read())
"""),
    Attack("C2", "lists homes, reads the secret", """
for folder in ("/root", "/home", "/etc", "/var", "/work", "/opt", "/mnt", "/sys", FOLDER, "/usr/local"):
    attempt(folder, os.listdir, folder)
attempt("secret", lambda: open(SECRET).read())
"""),
    Attack("C3", "reads all environments and command lines", """
pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
if len(pids) > 5: print("GOT", len(pids), "processes")
for pid in pids:
    for name in ("environ", "cmdline"):
        try: found = open(f"/proc/{pid}/{name}").read()
        except OSError: continue
        if name == "environ": print(found)
"""),
    Attack("C4", "looks for expected outputs around itself", """
seen = [sys.argv, dict(os.environ), sys.stdin.read(), os.listdir("/job"), os.listdir("/tmp"), os.listdir(".")]
print(seen)
for name in os.listdir("/job"): print(open("/job/" + name).read()[:0])
if sorted(os.listdir("/job")) != ["crossing.py", "driver.py"]: print("GOT", os.listdir("/job"))
"""),
    Attack("C5", "uses inherited descriptors", """
for descriptor in range(3, 256): attempt(descriptor, os.fstat, descriptor)
"""),
    Attack("C6", "traces others and reads their memory", """
for pid in (1, os.getppid(), VICTIM):
    if libc.ptrace(16, pid, 0, 0) >= 0: print("GOT ptrace", pid)
    buffer = ctypes.create_string_buffer(64)
    syscall(f"process_vm_readv {pid}", 310, pid, buffer, 1, buffer, 1, 0)
init = open("/proc/1/status").read()
if "CapEff:\\t" + "0" * 16 not in init or "Seccomp:\\t2" not in init: print("GOT an unfiltered init")
attempt("victim", lambda: open(f"/proc/{VICTIM}/environ").read())
"""),
    Attack("I1", "writes wherever it can", """
for folder in FOLDERS: attempt(folder, wrote, folder + "/left-behind.pth")
attempt("canary", wrote, CANARY + "/file")
attempt("driver", wrote, "/job/driver.py")
"""),
    Attack("I2", "changes metadata of a host file", """
for path in (CANARY + "/file", SECRET, "/usr/bin/env", "/job/driver.py"):
    attempt("chmod", os.chmod, path, 0o777); attempt("utime", os.utime, path, (0, 0))
    attempt("cut", os.truncate, path, 0)
    attempt("rename", os.rename, path, path + "2"); attempt("xattr", os.setxattr, path, "user.x", b"x")
    attempt("unlink", os.unlink, path); attempt("chown", os.chown, path, 0, 0)
"""),
    Attack("I3", "leaves links for the host to follow", """
for folder in FOLDERS:
    attempt("symlink", os.symlink, "/etc/passwd", folder + "/link")
    attempt("link", os.link, "/usr/bin/env", folder + "/hard")
    attempt("fifo", os.mkfifo, folder + "/fifo"); attempt("node", os.mknod, folder + "/node", 0o20666, 0x101)
"""),
    Attack("I4", "poisons the next run", """
for folder in [*sys.path, *FOLDERS]:
    for name in ("sitecustomize.py", "usercustomize.py", "json.py", "__pycache__/json.cpython-311.pyc"):
        attempt(name, wrote, f"{folder}/{name}")
import builtins; builtins.print = None; sys.modules["json"] = None
"""),
    Attack("I5", "mounts", """
for flags in (0, 32, 4096, 32 | 4096, 8192, 1 << 18):
    if libc.mount(b"/usr", b"/tmp", b"tmpfs", flags, None) == 0: print("GOT mount", flags)
for path in (b"/usr", b"/proc", b"/tmp", b"/job"):
    if libc.umount2(path, 2) == 0: print("GOT umount", path)
syscall("fsopen", 430, b"tmpfs", 0); syscall("open_tree", 428, -100, b"/", 1); syscall("pivot_root", 155, b"/", b"/tmp")
"""),
    Attack("I6", "makes namespaces of its own", """
for flags in (0x10000000, 0x10020000, 0x50020000, 0x20000, 0x40000000, 0x20000000, 0x08000000):
    if libc.unshare(flags) == 0: print("GOT unshare", hex(flags))
    child = libc.syscall(56, flags | 17, 0, 0, 0, 0)
    if child == 0: os._exit(0)
    if child > 0: print("GOT clone", hex(flags))
syscall("clone3", 435, ctypes.create_string_buffer(88), 88)
attempt("setns", lambda: libc.setns(os.open("/proc/1/ns/user", 0), 0) == 0 or os.stat("/nowhere"))
"""),
    Attack("I7", "has a posture it should not have", """
status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\\t" in line)
wanted = {"NoNewPrivs": "1", "Seccomp": "2", **dict.fromkeys(("CapEff", "CapPrm", "CapBnd", "CapAmb"), "0" * 16)}
for name, value in wanted.items():
    if status[name] != value: print("GOT", name, status[name])
if os.getuid() != 65534 or set(os.getgroups()) - {65534}: print("GOT", os.getuid(), os.getgroups())
for number in (425, 426, 427, 321, 298, 323, 250, 248, 304, 135, 101): syscall(number, number, 1, 0, 0, 0, 0, 0)
"""),
    Attack("N1", "connects to the host by TCP", """
for host in ("127.0.0.1", "localhost", "0.0.0.0", "10.0.2.2", "::1"):
    attempt(host, socket.create_connection, (host, TCP), 1)
"""),
    Attack("N2", "takes multipath TCP or fast open", """
attempt("mptcp", lambda: socket.socket(2, 1, 262).connect(("127.0.0.1", TCP)))
attempt("fast open", lambda: socket.socket(2, 1).sendto(b"x", 0x20000000, ("127.0.0.1", TCP)))
"""),
    Attack("N3", "sends a datagram", """
attempt("udp", lambda: socket.socket(2, 2).sendto(b"x", ("127.0.0.1", UDP)))
"""),
    Attack("N4", "connects to an abstract socket", """
attempt("abstract", lambda: socket.socket(socket.AF_UNIX).connect(ABSTRACT))
"""),
    Attack("N5", "connects to a socket file", """
attempt("unix", lambda: socket.socket(socket.AF_UNIX).connect(UNIX))
"""),
    Attack("N6", "opens exotic sockets", """
for family in (2, 10, 15, 16, 17, 21, 29, 30, 38, 40, 44):
    for kind in (1, 2, 3, 5):
        for protocol in (0, 132, 262): attempt(f"{family} {kind} {protocol}", socket.socket, family, kind, protocol)
    attempt(f"pair {family}", socket.socketpair, family, 1)
"""),
    Attack("N7", "listens where the host can call", """
for address in (("0.0.0.0", 0), ("", 8080)): attempt("listens", socket.create_server, address)
"""),
    Attack("A1", "loops", "while True: pass", "out_of_time", 0.5),
    Attack("A2", "sleeps", "time.sleep(1000)", "out_of_time", 0.5),
    Attack("A3", "ignores all signals", """
for number in range(1, 65):
    try: signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError): pass
while True: time.sleep(1)
""", "out_of_time", 0.5),
    Attack("A4", "stops itself", "os.kill(os.getpid(), signal.SIGSTOP)", "out_of_time", 0.5),
    Attack("A5", "is a fork bomb", """
while True:
    try: os.fork()
    except OSError: pass
""", "out_of_time", 0.5),
    Attack("A6", "is a thread bomb", """
import threading
count = 0
try:
    while count < 1000: threading.Thread(target=time.sleep, args=(1000,), daemon=True).start(); count += 1
except RuntimeError: pass
if count > 64: print("GOT", count)
sys.stdout.flush(); os._exit(0)
"""),
    Attack("A7", "fills memory alone", """
hoard = []
while True: hoard.append(bytearray(1 << 24))
""", "out_of_memory"),
    Attack("A8", "fills memory with sixteen processes", """
for _ in range(16):
    if os.fork() == 0: hoard = bytearray(b"x" * (200 << 20)); time.sleep(1000)
time.sleep(1000)
""", "out_of_memory", 10.0),
    Attack("A9", "fills every folder", """
for folder in FOLDERS:
    for number in range(100): attempt(folder, wrote, f"{folder}/{number}")
"""),
    Attack("A10", "makes one huge file", """
for folder in FOLDERS:
    def huge(path):
        with open(path, "wb") as file:
            for _ in range(100): file.write(b"x" * (1 << 20))
    attempt(folder, huge, folder + "/huge")
"""),
    Attack("A11", "makes many empty files and folders", """
for folder in FOLDERS:
    for number in range(1000):
        attempt(folder, os.mkdir, f"{folder}/{number}"); attempt(folder, os.mknod, f"{folder}/f{number}")
"""),
    Attack("A12", "hoards memory that no rlimit counts", """
for flags in (0, 4): attempt("memfd", lambda: os.memfd_create("x", flags))
syscall("memfd_secret", 447, 0)
if libc.shmget(0, 120 << 20, 0o1600) >= 0: print("GOT shm")
if libc.semget(0, 1, 0o1600) >= 0: print("GOT sem")
if libc.msgget(0, 0o1600) >= 0: print("GOT msg")
attempt("mlock", lambda: libc.mlock(ctypes.create_string_buffer(1 << 20), 1 << 20) == 0 or os.stat("/nowhere"))
"""),
    Attack("A13", "prints for ever", "while True: print('x' * 1000)", "too_large"),
    Attack("A14", "complains for ever", "while True: sys.stderr.write('x' * 1000)", "too_large"),
    Attack("A15", "leaves a daemon that keeps the pipe", """
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0: time.sleep(1000)
    os._exit(0)
"""),
    Attack("A16", "kills others", """
for pid in (VICTIM, 1): attempt(f"kill {pid}", lambda: os.kill(pid, 9) if pid != 1 else os.stat("/nowhere"))
os.kill(-1, 9)
""", "killed"),
    Attack("A17", "prints a number of 10^8 digits", """
sys.set_int_max_str_digits(0)
print(10 ** 10 ** 8)
""", "out_of_time", 0.5),
    Attack("A18", "aborts and dumps core", """
import resource
attempt("core", resource.setrlimit, resource.RLIMIT_CORE, (1 << 30, 1 << 30))
attempt("memory", resource.setrlimit, resource.RLIMIT_AS, (-1, -1))
attempt("processes", resource.setrlimit, resource.RLIMIT_NPROC, (1000, 1000))
os.abort()
""", "killed", detail="SIGABRT"),
    Attack("A19", "puts itself first", """
attempt("nice", os.nice, -5)
attempt("real time", lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50)))
def immortal():
    with open("/proc/self/oom_score_adj", "w") as file: file.write("-1000")
attempt("immortal", immortal)
"""),
]  # fmt: skip

MORE = [
    Attack("stop the driver", "stops its driver", "os.kill(os.getppid(), 19); time.sleep(1000)", "out_of_time", 0.5),
    Attack("kill the driver", "kills its driver", "os.kill(os.getppid(), 9); time.sleep(1000)", "killed"),
]
