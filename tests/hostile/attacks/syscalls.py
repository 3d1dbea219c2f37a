"""Tries to get out of a container with system calls and the files of the kernel. Ends with 1 if anything worked."""
import ctypes, os, socket, struct, sys, time

libc = ctypes.CDLL(None, use_errno=True)
broke = []
CANARY = "@CANARY@"


def attempt(name, worked):
    try:
        result = worked()
    except (OSError, PermissionError, FileNotFoundError, ValueError) as error:
        print("held", name, type(error).__name__, getattr(error, "errno", ""), flush=True)
        return
    if result:
        broke.append(name)
        print("BROKE", name, result, flush=True)
    else:
        print("held", name, flush=True)


def syscall(number, *arguments):
    """The result of a system call, or its error raised."""
    ctypes.set_errno(0)
    result = libc.syscall(number, *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return True


def written(path, text):
    file = os.open(path, os.O_WRONLY)
    return os.write(file, text.encode()) > 0


def read(path):
    with open(path, "rb") as file:
        return bool(file.read(64))


buffer = ctypes.create_string_buffer(4096)
MOUNT, UMOUNT, UNSHARE, SETNS, PIVOT, PTRACE = 165, 166, 272, 308, 155, 101
BPF, PERF, KEXEC, INIT_MODULE, REBOOT, SWAPON = 321, 298, 246, 175, 169, 167
KEYCTL, ADD_KEY, USERFAULTFD, IO_URING, OPEN_BY_HANDLE, FSOPEN = 250, 248, 323, 425, 304, 430
SETTIME, SETHOSTNAME, IOPL, CLONE3, MOVE_MOUNT, ACCT = 227, 170, 172, 435, 429, 163

# Namespaces and mounts: the ways of CVE-2022-0185 (fsconfig), CVE-2022-0492 (release_agent), CVE-2021-30465.
attempt("mount proc", lambda: syscall(MOUNT, b"proc", b"/mnt", b"proc", 0, None))
attempt("mount cgroup", lambda: syscall(MOUNT, b"cgroup", b"/mnt", b"cgroup", 0, b"rdma"))
attempt("bind mount", lambda: syscall(MOUNT, b"/", b"/mnt", None, 4096, None))
attempt("remount proc/sys", lambda: syscall(MOUNT, None, b"/proc/sys", None, 32 | 4096, None))
attempt("umount proc/kcore", lambda: syscall(UMOUNT, b"/proc/kcore", 2))
attempt("fsopen", lambda: syscall(FSOPEN, b"ext4", 0))
attempt("move_mount", lambda: syscall(MOVE_MOUNT, -100, b"/tmp", -100, b"/mnt", 0))
attempt("pivot_root", lambda: syscall(PIVOT, b"/", b"/tmp"))
for name, flag in {"user": 0x10000000, "mount": 0x20000, "pid": 0x20000000, "net": 0x40000000, "cgroup": 0x2000000}.items():
    attempt("unshare " + name, lambda flag=flag: syscall(UNSHARE, flag))
attempt("setns to init", lambda: syscall(SETNS, os.open("/proc/1/ns/mnt", os.O_RDONLY), 0))
attempt("clone3 with a user namespace", lambda: syscall(CLONE3, struct.pack("Q" * 11, 0x10000000, *[0] * 10), 88))
for group in ("memory", "rdma", "pids", "devices", ""):
    attempt("release_agent " + group, lambda group=group: written(f"/sys/fs/cgroup/{group}/release_agent", "/attack"))
    attempt("own cgroup " + group, lambda group=group: os.mkdir(f"/sys/fs/cgroup/{group}/deeper") or True)
attempt("memory limit", lambda: written("/sys/fs/cgroup/memory/memory.limit_in_bytes", "-1"))
attempt("pids limit", lambda: written("/sys/fs/cgroup/pids/pids.max", "max"))

# The kernel's own switches.
for path, text in {
    "/proc/sys/kernel/core_pattern": "|/attack",
    "/proc/sys/kernel/modprobe": "/attack",
    "/proc/sys/kernel/hostname": "hostile",
    "/proc/sys/vm/panic_on_oom": "1",
    "/proc/sys/net/ipv4/ip_forward": "1",
    "/proc/sys/fs/binfmt_misc/register": ":x:M::x::/attack:",
    "/proc/sysrq-trigger": "h",
    "/proc/self/oom_score_adj": "-1000",
    "/proc/1/oom_score_adj": "-1000",
    "/sys/kernel/uevent_helper": "/attack",
    "/sys/power/state": "mem",
    "/dev/kmsg": "hostile",
}.items():
    attempt("write " + path, lambda path=path, text=text: written(path, text))
for path in ("/proc/kcore", "/proc/keys", "/proc/timer_list", "/dev/mem", "/dev/kmsg", "/sys/firmware/acpi", "/proc/acpi/wakeup"):
    attempt("read " + path, lambda path=path: read(path))

# System calls that the profile keeps away.
attempt("bpf", lambda: syscall(BPF, 0, buffer, 72))
attempt("perf_event_open", lambda: syscall(PERF, buffer, 0, -1, -1, 0))
attempt("kexec_load", lambda: syscall(KEXEC, 0, 0, None, 0))
attempt("init_module", lambda: syscall(INIT_MODULE, buffer, 4096, b""))
attempt("reboot", lambda: syscall(REBOOT, 0xFEE1DEAD, 672274793, 0, None))
attempt("swapon", lambda: syscall(SWAPON, b"/attack", 0))
attempt("keyctl", lambda: syscall(KEYCTL, 0, -3, 1))
attempt("add_key", lambda: syscall(ADD_KEY, b"user", b"hostile", b"x", 1, -3))
attempt("userfaultfd", lambda: syscall(USERFAULTFD, 0))
attempt("iopl", lambda: syscall(IOPL, 3))
attempt("settimeofday", lambda: syscall(SETTIME, 0, struct.pack("qq", 0, 0)))
attempt("sethostname", lambda: syscall(SETHOSTNAME, b"hostile", 7))
attempt("acct", lambda: syscall(ACCT, b"/attack"))
# "Shocker": a file of the host by its inode.
attempt("open_by_handle_at", lambda: syscall(OPEN_BY_HANDLE, os.open("/etc/hosts", os.O_RDONLY), struct.pack("IiQ", 8, 1, 2), 0))
attempt("mknod", lambda: os.mknod("/tmp/disk", 0o60666, os.makedev(8, 0)) or True)
attempt("raw disk", lambda: os.mknod("/tmp/mem", 0o20666, os.makedev(1, 1)) or read("/tmp/mem"))

# Other processes: ours are in other namespaces, so none but the own can be seen.
attempt("foreign processes", lambda: [pid for pid in os.listdir("/proc") if pid.isdigit() and int(pid) not in (1, os.getpid())])
attempt("ptrace init", lambda: os.getpid() != 1 and syscall(PTRACE, 16, 1, None, None))
attempt("signal to all", lambda: os.kill(-1, 0) or True)

# CVE-2019-5736: the runtime's program by /proc/self/exe; CVE-2024-21626: a folder of the host left open.
attempt("open folders of the host", lambda: [fd for fd in os.listdir("/proc/self/fd") if os.path.isdir(f"/proc/self/fd/{fd}") and os.path.exists(f"/proc/self/fd/{fd}/../../../../../../.." + CANARY)])
attempt("the canary", lambda: os.path.exists(CANARY))
attempt("the canary by root of init", lambda: os.path.exists("/proc/1/root" + CANARY))
attempt("the engine's socket", lambda: [path for path in ("/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock") if os.path.exists(path)])

# The network that is shared with the pod: its sockets, frames of others, port 0.
attempt("AF_PACKET", lambda: socket.socket(17, socket.SOCK_RAW, 3))
attempt("raw IP", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP))
attempt("netlink audit", lambda: socket.socket(16, socket.SOCK_RAW, 9).send(struct.pack("IHHII", 16, 1000, 5, 1, 0)) and False)
attempt("abstract sockets", lambda: [line for line in open("/proc/net/unix") if "@" in line])
attempt("vsock", lambda: (lambda s: s.settimeout(1) or s.connect((2, 22)) or True)(socket.socket(40, socket.SOCK_STREAM)))
attempt("TIOCSTI into a terminal", lambda: os.isatty(0))

# Setuid and file capabilities give nothing.
status = open("/proc/self/status").read()
attempt("capabilities", lambda: "CapEff:\t0000000000000000" not in status or "CapBnd:\t0000000000000000" not in status)
attempt("new privileges", lambda: "NoNewPrivs:\t1" not in status)
attempt("seccomp", lambda: "Seccomp:\t2" not in status)
attempt("chroot", lambda: os.chroot("/tmp") or True)
attempt("setuid", lambda: os.setuid(1000) or True)
attempt("chown", lambda: os.chown("/etc/passwd", 1000, 1000) or True)
attempt("nice", lambda: os.nice(-5) or True)
attempt("limits", lambda: __import__("resource").setrlimit(7, (1 << 20, 1 << 20)) or True)
attempt("realtime", lambda: os.sched_setscheduler(0, 1, os.sched_param(50)) or True)

print("tried everything;", len(broke), "broke:", broke, flush=True)
sys.exit(1 if broke else 0)
