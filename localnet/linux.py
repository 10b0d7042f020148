"""What the kernel offers for keeping children on a leash, and whom a port or a process belongs to.

Used by localnet's servers and supervisor. On other systems than Linux children are not tied to their parent, and the
rest works. Not done here: starting processes.
"""

import asyncio
import ctypes
import errno
import functools
import os
import pwd
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal

import psutil

# <linux/prctl.h>, <linux/sched.h>
_PR_SET_PDEATHSIG: Final = 1
_CLONE_NEWUSER: Final = 0x10000000

PreExec = Callable[[], None]


# Looked up once, before any fork: between fork and exec nothing may be imported or loaded.
def _load_libc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


_libc = _load_libc()


def die_with_parent(stop_signal: signal.Signals) -> PreExec:
    """Run in the child before exec: the kernel sends `stop_signal` to it when the thread that started it ends.

    Start children from the main thread only, for that reason.
    """
    parent = os.getpid()
    number = int(stop_signal)

    def pre_exec() -> None:
        if _libc is not None:
            _libc.prctl(_PR_SET_PDEATHSIG, number)
            if os.getppid() != parent:  # it died before the call
                os._exit(1)

    return pre_exec


def flush_filesystem(directory: Path) -> None:
    """Return once everything that was written to the file system of `directory`, by anybody, is on its disk.

    One call takes about as long as `fsync` of one file, however many files it is for. Raises OSError.
    """
    if _libc is None:
        os.sync()
        return
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if _libc.syncfs(descriptor) != 0:
            raise OSError(ctypes.get_errno(), f"cannot flush the file system of {directory}")
    finally:
        os.close(descriptor)


def acceptable_user(stop_signal: signal.Signals) -> PreExec:
    """`die_with_parent`, and before it become somebody as whom PostgreSQL agrees to run, by `user_change`.

    PostgreSQL refuses uid 0, and initdb a uid without a name. In a user namespace in which we are called by another
    uid we still own our files, and no more is needed; where namespaces are forbidden, root's child runs as `nobody`,
    who must be given the files.
    """
    leash = die_with_parent(stop_signal)
    change = user_change()
    enter = _namespace_entry()
    nobody = pwd.getpwnam("nobody") if change == "nobody" else None

    def pre_exec() -> None:
        try:
            if change == "namespace":
                enter()
            elif nobody is not None:
                os.setgroups([])
                os.setgid(nobody.pw_gid)
                os.setuid(nobody.pw_uid)
        except Exception as error:  # stop: subprocess tells only that something failed; stderr is the child's log
            os.write(2, f"cannot change the user ({change}): {error!r}\n".encode())
            raise
        leash()  # last: changing credentials clears the death signal

    return pre_exec


@functools.cache
def user_change() -> Literal["none", "namespace", "nobody"]:
    """How a child can become an acceptable user: not needed, by a user namespace, or as `nobody` (root only)."""
    root = os.geteuid() == 0
    if not root and _has_name(os.geteuid()):
        return "none"
    try:
        subprocess.run(["/bin/sh", "-c", "exit 0"], check=True, preexec_fn=_namespace_entry())
    except (OSError, subprocess.SubprocessError):  # stop: forbidden here, which is the answer
        return "nobody" if root else "none"
    return "namespace"


def _namespace_entry() -> PreExec:
    """Run in the child: move to a new user namespace in which our uid and gid go by those of another user."""
    uid, gid = os.geteuid(), os.getegid()
    alias = next((user.pw_uid for user in sorted(pwd.getpwall(), key=lambda user: user.pw_uid) if user.pw_uid), 1)
    maps = (
        ("/proc/self/setgroups", b"deny"),
        ("/proc/self/uid_map", f"{alias} {uid} 1".encode()),
        ("/proc/self/gid_map", f"{alias} {gid} 1".encode()),
    )

    def enter() -> None:
        if _libc is None:
            raise OSError(errno.ENOSYS, "user namespaces exist on Linux only")
        if _libc.unshare(_CLONE_NEWUSER) != 0:
            raise OSError(ctypes.get_errno(), "unshare(CLONE_NEWUSER)")
        # https://man7.org/linux/man-pages/man7/user_namespaces.7.html: setgroups is denied before gid_map is written
        for path, text in maps:
            descriptor = os.open(path, os.O_WRONLY)
            os.write(descriptor, text)
            os.close(descriptor)

    return enter


def _has_name(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


async def until_exit(process: "subprocess.Popen[bytes]") -> int:
    """Wait until our child has ended; returns its exit status, negative for a signal."""
    if not hasattr(os, "pidfd_open"):  # not on Linux
        while (status := process.poll()) is None:  # noqa: ASYNC110  (no event to wait for there)
            await asyncio.sleep(0.1)
        return status
    if process.poll() is None:
        ended = asyncio.Event()
        descriptor = os.pidfd_open(process.pid)
        loop = asyncio.get_running_loop()
        try:
            loop.add_reader(descriptor, ended.set)
            await ended.wait()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)
    return process.wait()


def alive(pid: int) -> bool:
    """Whether a process of this id exists and is not a zombie."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:  # stop: gone, or none of ours
        return False


def runs(pid: int, program: str, argument: str) -> bool:
    """Whether process `pid` is `program` (its file name) started with `argument`: ours, and not a reused id."""
    try:
        command = psutil.Process(pid).cmdline()
    except psutil.Error:  # stop: gone, or none of ours
        return False
    return bool(command) and Path(command[0]).name == program and argument in command


def terminate(pid: int, first: signal.Signals, patience_seconds: float) -> None:
    """Send `first` to a process that is not our child, wait, and kill it if it stays. Blocks."""
    try:
        process = psutil.Process(pid)
        process.send_signal(first)
        process.wait(patience_seconds)
    except psutil.TimeoutExpired:  # go on: it had its chance
        os.kill(pid, signal.SIGKILL)
    except psutil.NoSuchProcess:  # stop: gone is what was wanted
        return


def port_is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen on `host:port` now; port 0 always is."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:  # stop: the answer is no, or the address is wrong
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True


def free_port(host: str = "127.0.0.1") -> int:
    """A port that was free a moment ago; whoever uses it must be ready to find it taken."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def free_port_pair(host: str = "127.0.0.1") -> int:
    """A free port whose next one is free too."""
    while True:
        port = free_port(host)
        if port < 65535 and port_is_free(port + 1, host):
            return port


def port_holder(port: int) -> str | None:
    """The process that listens on `port`, like `python3 (pid 123)`, where the system tells."""
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.Error:  # stop: only to make a sentence better
        return None
    for connection in connections:
        if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr[1] == port:
            if connection.pid is None:
                return None
            try:
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
            except psutil.Error:  # stop: it ended meanwhile
                return f"pid {connection.pid}"
    return None
