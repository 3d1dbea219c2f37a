//! Ways out of a container: system calls, files of the kernel, setuid programs, the runtime's own program.

use super::arena::{Arena, Attack};
use crate::common::BUSYBOX;

/// About eighty attempts from inside, as root of the container. From: CVE-2019-5736 (the runtime by
/// `/proc/self/exe`), CVE-2022-0492 (cgroup v1 `release_agent`), CVE-2022-0185 (`fsconfig` in a user namespace),
/// CVE-2014-9357's relative "shocker" (`open_by_handle_at`), CVE-2021-30465 and CVE-2023-27561 (mounts), CVE-2016-9962
/// (descriptors of the runtime), CVE-2020-15257 (containerd's abstract socket), and the lists of what Docker's
/// default seccomp profile keeps away.
fn syscalls() -> Attack {
    Attack::python("system calls", "escape", include_str!("attacks/syscalls.py")).passes()
}

/// CVE-2016-1247-like chains end in a setuid program: under `no-new-privileges` there is none.
fn setuid() -> Attack {
    let dockerfile = format!(
        "FROM {BUSYBOX}\nLABEL hostile=@ARENA@\nCOPY attack /attack\n\
         RUN mkdir /suid && cp /bin/busybox /suid/busybox && chmod 4755 /suid/busybox && echo no > /etc/hidden && chmod 600 /etc/hidden\n\
         USER 1000\nCMD [\"sh\", \"/attack\"]\n"
    );
    let files = [("Dockerfile", dockerfile.as_str()), ("attack", include_str!("attacks/setuid.sh"))];
    Attack::new("setuid", "escape", &files).passes()
}

/// CVE-2024-21626: a working folder below `/proc/self/fd` is a folder of the host where the runtime left one open.
fn working_folder(fd: u8) -> Attack {
    let text = format!(
        "LABEL hostile=@ARENA@\nWORKDIR /proc/self/fd/{fd}\nRUN cat ../../../../../../..@CANARY@ && echo BROKE\n\
         CMD [\"sh\", \"-c\", \"cat ../../../../../../..@CANARY@\"]"
    );
    Attack::dockerfile("working folder in /proc/self/fd", "escape", &text).says("/proc/self/fd")
}

/// CVE-2019-16884: a volume over /proc switches off what protects it. The engine refuses it, or makes an ordinary
/// folder of it; the student's image is what is wrong.
fn volume_over(path: &str) -> Attack {
    let text = format!(
        "LABEL hostile=@ARENA@\nVOLUME {path}\nCMD [\"sh\", \"-c\", \"echo core > /proc/sys/kernel/core_pattern\"]"
    );
    Attack::dockerfile("volume over the kernel's files", "escape", &text)
}

/// CVE-2019-5736's other half: `docker exec` enters a container whose programs are links to the runtime.
fn exec_of_the_runtime() -> Attack {
    let text = "LABEL hostile=@ARENA@\nRUN cp /bin/busybox /busybox && rm -f /bin/sh && \
                ln -s /proc/self/exe /bin/sh\nHEALTHCHECK CMD true\nENTRYPOINT [\"/busybox\", \"sleep\", \"2\"]";
    Attack::dockerfile("a shell that is the runtime", "escape", text).passes()
}

/// The whole list, one after another in two slots.
#[tokio::test(flavor = "multi_thread")]
async fn no_container_gets_out() {
    let arena = Arena::open().await;
    let mut attacks = vec![syscalls(), setuid(), exec_of_the_runtime()];
    attacks.extend([7, 8, 9].map(working_folder));
    attacks.extend(["/proc", "/proc/sys", "/sys/fs/cgroup"].map(volume_over));
    arena.run(attacks).await;
    arena.close().await;
}
