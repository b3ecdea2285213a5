"""Fork each page's kernel from one process that has imported what most pages import.

As a module it is a kernel provisioner of jupyter_client; as a script it starts that process, runs
the command that it is given, and ends the process with it: so each build of that command finds it.
Where processes cannot be forked safely, and for one page alone, kernels start as they always do.
"""

import atexit
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from importlib import import_module
from importlib.metadata import EntryPoint
from pathlib import Path

PRELOAD = "IPython", "ipykernel.kernelapp", "ipykernel.ipkernel", "matplotlib.pyplot", "numpy"
PRELOAD += "matplotlib.backends.backend_svg", "sympy"  # of this project nothing: it may change
INLINE = "module://matplotlib_inline.backend_inline"  # as a kernel sets it, before the import
ADDRESS = "WARM_KERNELS"  # in the environment: where the process listens


def serve(listener, lifeline):
    """Fork a kernel for each connection, which the kernel keeps open, until the lifeline is cut."""
    os.environ["MPLBACKEND"] = INLINE
    for name in PRELOAD:
        import_module(name)
    from ipykernel.kernelapp import IPKernelApp

    gc.freeze()
    while lifeline not in (ready := select.select([listener, lifeline], [], [])[0]):
        connection = ready[0].accept()[0]
        if os.fork():
            connection.close()
            with suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            continue
        wanted = json.loads(connection.makefile().readline())
        os.environ.clear()
        os.environ.update(wanted["env"], MPLBACKEND=INLINE)
        os.chdir(wanted["cwd"])
        listener.close()
        connection.sendall(f"{os.getpid()}\n".encode())
        parent = f"--IPKernelApp.parent_handle={os.getppid()}"
        IPKernelApp.launch_instance([*wanted["arguments"], parent])
        return
    with suppress(ChildProcessError):
        while os.wait():
            pass


def start():
    """Start the process, unless one is there; it ends with this one."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # what forks must have one thread
    if sys.platform != "linux" or ADDRESS in os.environ:
        return
    folder = tempfile.TemporaryDirectory()
    address = f"{folder.name}/kernels"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        command = [sys.executable, __file__, "--serve", str(listener.fileno())]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[listener.fileno()])
    os.environ[ADDRESS] = address

    def end():  # Sphinx's processes that read pages beside others leave without it
        process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=10)
        process.kill()  # a kernel that hangs ends with it
        folder.cleanup()

    atexit.register(end)


class Process:
    """A kernel of that process, as subprocess.Popen would show it."""

    stdin = stdout = stderr = None

    def __init__(self, arguments, env, cwd):
        self.connection = socket.socket(socket.AF_UNIX)
        self.connection.connect(os.environ[ADDRESS])
        wanted = {"arguments": arguments, "env": env, "cwd": str(cwd or Path.cwd())}
        self.connection.sendall(json.dumps(wanted).encode() + b"\n")
        self.pid = int(self.connection.makefile().readline())

    def poll(self):
        """Return 0 once the kernel has ended, and with it the connection."""
        try:
            return None if self.connection.recv(1, socket.MSG_DONTWAIT) else 0
        except BlockingIOError:
            return None

    def wait(self):
        self.connection.settimeout(None)
        self.connection.recv(1)
        return 0

    def send_signal(self, number):
        os.kill(self.pid, number)

    def terminate(self):
        self.send_signal(signal.SIGTERM)

    def kill(self):
        self.send_signal(signal.SIGKILL)


def provide(app, env, docnames):  # noqa: ARG001
    """Start the process where several pages are read, of which some may have to be executed."""
    if len(docnames) > 2:
        start()


def setup(app):
    from jupyter_client.provisioning import KernelProvisionerFactory, LocalProvisioner

    class Warm(LocalProvisioner):
        async def launch_kernel(self, cmd, **kwargs):
            if ADDRESS in os.environ:
                arguments = cmd[cmd.index("ipykernel_launcher") + 1 :]
                with suppress(OSError, ValueError):  # where that process has ended
                    self.process = Process(arguments, kwargs["env"], kwargs.get("cwd"))
                    self.pid = self.process.pid
                    return self.connection_info
            return await super().launch_kernel(cmd, **kwargs)

    sys.modules[__name__].Warm = Warm
    KernelProvisionerFactory.provisioners["warm"] = EntryPoint("warm", f"{__name__}:Warm", "")
    os.environ["JUPYTER_DEFAULT_PROVISIONER_NAME"] = "warm"
    app.connect("env-before-read-docs", provide)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


if __name__ == "__main__":
    sys.path.pop(0)  # this folder
    if sys.argv[1] == "--serve":
        serve(socket.socket(fileno=int(sys.argv[2])), sys.stdin)
    else:
        start()
        sys.exit(subprocess.call(sys.argv[1:]))
