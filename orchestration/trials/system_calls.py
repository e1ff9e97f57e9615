"""What a contained process may not ask of the kernel, as the program that the kernel runs on every call (seccomp).

Here: the refused calls by number, for each processor that is known, and the filter made of them.
Not here: when it is put in force (inside.confine, as its last step; nothing takes it off again).

The first line of defence is that a contained process owns nothing and reaches nothing. The filter makes two things
more of it: no second process ever starts, so limits of one process are limits of the whole trial; and the parts of the
kernel that have most often been broken out of are not there.
"""

import platform
import struct

# <linux/bpf_common.h>, <linux/filter.h>, <linux/seccomp.h>, <linux/audit.h>
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _REFUSE, _NO_SUCH_CALL = 0x7FFF0000, 0x80000000, 0x00050001, 0x00050026  # EPERM is 1, ENOSYS 38
_NUMBER, _PROCESSOR, _FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data
_CLONE_THREAD = 0x00010000
_FIRST_UNKNOWN = 463  # later calls than this list knows, and those of the x32 interface

_SAME_EVERYWHERE = {
    **{"io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "open_tree": 428, "move_mount": 429},
    **{"fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433, "pidfd_open": 434, "pidfd_getfd": 438},
    **{"process_madvise": 440, "mount_setattr": 442, "memfd_secret": 447},
}
_X86_64 = {
    **{"fork": 57, "vfork": 58, "execve": 59, "execveat": 322},
    **{"socket": 41, "connect": 42, "bind": 49, "listen": 50},
    **{"ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311, "kcmp": 312},
    **{"unshare": 272, "setns": 308, "mount": 165, "umount2": 166, "pivot_root": 155, "chroot": 161},
    **{"setuid": 105, "setgid": 106, "setreuid": 113, "setregid": 114, "setgroups": 116, "setresuid": 117},
    **{"setresgid": 119, "setfsuid": 122, "setfsgid": 123, "capset": 126, "personality": 135},
    **{"keyctl": 250, "add_key": 248, "request_key": 249, "bpf": 321, "perf_event_open": 298, "userfaultfd": 323},
    # Memory that no limit of a process counts.
    **{"memfd_create": 319, "shmget": 29, "shmat": 30, "msgget": 68, "semget": 64, "mq_open": 240, "io_setup": 206},
    **{"mbind": 237, "set_mempolicy": 238, "migrate_pages": 256, "move_pages": 279, "vmsplice": 278},
    **{"name_to_handle_at": 303, "open_by_handle_at": 304, "inotify_init": 253, "inotify_init1": 294},
    **{"fanotify_init": 300, "quotactl": 179, "swapon": 167, "swapoff": 168, "reboot": 169, "acct": 163},
    **{"settimeofday": 164, "clock_settime": 227, "adjtimex": 159, "clock_adjtime": 305, "syslog": 103, "vhangup": 153},
    **{"kexec_load": 246, "kexec_file_load": 320, "init_module": 175, "finit_module": 313, "delete_module": 176},
    **{"ioperm": 173, "iopl": 172, "modify_ldt": 154, "uselib": 134, "lookup_dcookie": 212},
}
_AARCH64 = {
    **{"execve": 221, "execveat": 281, "socket": 198, "bind": 200, "listen": 201, "connect": 203},
    **{"ptrace": 117, "process_vm_readv": 270, "process_vm_writev": 271, "kcmp": 272},
    **{"unshare": 97, "setns": 268, "mount": 40, "umount2": 39, "pivot_root": 41, "chroot": 51},
    **{"setuid": 146, "setgid": 144, "setreuid": 145, "setregid": 143, "setgroups": 159, "setresuid": 147},
    **{"setresgid": 149, "setfsuid": 151, "setfsgid": 152, "capset": 91, "personality": 92},
    **{"keyctl": 219, "add_key": 217, "request_key": 218, "bpf": 280, "perf_event_open": 241, "userfaultfd": 282},
    **{"memfd_create": 279, "shmget": 194, "shmat": 196, "msgget": 186, "semget": 190, "mq_open": 180, "io_setup": 0},
    **{"mbind": 235, "set_mempolicy": 237, "migrate_pages": 238, "move_pages": 239, "vmsplice": 75},
    **{"name_to_handle_at": 264, "open_by_handle_at": 265, "inotify_init1": 26, "fanotify_init": 262},
    **{"quotactl": 60, "swapon": 224, "swapoff": 225, "reboot": 142, "acct": 89, "settimeofday": 170},
    **{"clock_settime": 112, "adjtimex": 171, "clock_adjtime": 266, "syslog": 116, "vhangup": 58},
    **{"kexec_load": 104, "kexec_file_load": 294, "init_module": 105, "finit_module": 273, "delete_module": 106},
    **{"lookup_dcookie": 18},
}
_CLONE3 = 435
# What <linux/audit.h> calls the processor, its number of `clone`, and the calls refused.
_PROCESSORS = {"x86_64": (0xC000003E, 56, _X86_64), "aarch64": (0xC00000B7, 220, _AARCH64)}


def known_processor() -> bool:
    """Whether there is a list for this machine; without one nothing can be contained."""
    return platform.machine() in _PROCESSORS


def filter_program() -> bytes:
    """The filter for this machine: instructions of 8 bytes each (struct sock_filter).

    Refused calls fail with EPERM. `clone3` and later calls than the list knows fail as if the kernel were older, so
    that the C library falls back on `clone`, whose flags a filter can read: threads start, processes do not.
    Raises KeyError where the processor is not known.
    """
    processor, clone, refused = _PROCESSORS[platform.machine()]
    numbers = sorted({*refused.values(), *_SAME_EVERYWHERE.values()})
    # In order: what to test, with which operand, and where to go if so ("" is the next instruction) and if not.
    steps: list[tuple[int, int, str, str]] = [
        (_LOAD, _PROCESSOR, "", ""),
        (_EQUAL, processor, "", "kill"),
        (_LOAD, _NUMBER, "", ""),
        (_AT_LEAST, _FIRST_UNKNOWN, "no such call", ""),
        (_EQUAL, _CLONE3, "no such call", ""),
        *((_EQUAL, number, "refuse", "") for number in numbers),
        (_EQUAL, clone, "", "allow"),
        (_LOAD, _FIRST_ARGUMENT, "", ""),
        (_ANY_BIT, _CLONE_THREAD, "allow", "refuse"),
    ]
    ends = {"allow": _ALLOW, "refuse": _REFUSE, "no such call": _NO_SUCH_CALL, "kill": _KILL}
    place = {end: len(steps) + order for order, end in enumerate(ends)}

    def distance(here: int, to: str) -> int:
        return place[to] - here - 1 if to else 0

    body = [
        struct.pack("=HBBI", code, distance(here, then), distance(here, other), operand)
        for here, (code, operand, then, other) in enumerate(steps)
    ]
    return b"".join(body) + b"".join(struct.pack("=HBBI", _RETURN, 0, 0, end) for end in ends.values())
