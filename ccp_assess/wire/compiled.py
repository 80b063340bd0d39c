"""How loops over packets become machine code, once, and how that code starts quickly ever after.

A *kernel* is called from Python and runs without the interpreter's lock; a *helper* is only called by kernels. Both are
plain Python functions until a kernel is first needed. Then numba compiles the kernel with all its helpers, and the
object code goes to a folder named after the contents of all these sources. Every later process loads the object code
directly, without numba: importing the compiler costs more than reading a small capture. Of processes that start side by
side on a new machine one compiles a kernel while the others wait for it.

The folder lies beside the package where that can be written, else in the user's cache folder, else in a private
temporary one.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar, cast

import llvmlite.binding as llvm  # type: ignore[import-untyped]
import numpy as np
import numpy.typing as npt

from ccp_assess.files import taking_turns

Function = TypeVar("Function", bound=Callable[..., Any])

FORGET_AFTER_S = 30 * 86_400

LONGEST_WAIT_S = 120.0
"""How long a process waits for another one to compile a kernel, a matter of ten seconds, before it does so itself."""

_PACKAGE = Path(__file__).resolve().parent.parent
_SOURCES = (
    "wire/columns.py",
    "wire/compiled.py",
    "wire/datagram.py",
    "wire/framing.py",
    "wire/hashing.py",
    "wire/ip.py",
    "wire/link.py",
    "wire/rtp.py",
    "wire/turn.py",
    "traffic/clocks.py",
    "traffic/flowtable.py",
    "traffic/measuring.py",
    "traffic/numbering.py",
    "traffic/payloads.py",
    "traffic/playout.py",
    "traffic/segments.py",
    "traffic/spans.py",
    "traffic/streams.py",
    "traffic/streamtable.py",
    "traffic/tracking.py",
)
_MARK = b"ccp-assess kernel 1\n"
_LOCK = threading.RLock()
_HELPERS: dict[Callable[..., Any], bool] = {}
_DISPATCHERS: dict[Callable[..., Any], Any] = {}
_KEPT_ALIVE: list[Any] = []


def inlined(function: Function) -> Function:
    """Mark a function that only kernels call, to be compiled into the very place of the call.

    Parameters
    ----------
    function
        A small step that every packet needs; arrays cost nothing to pass to it.

    Returns
    -------
    function
        The same one.
    """
    _HELPERS[function] = True
    return function


def helper(function: Function) -> Function:
    """Mark a function that only kernels call.

    Parameters
    ----------
    function
        A step of a loop.

    Returns
    -------
    function
        The same one.
    """
    _HELPERS[function] = False
    return function


def kernel(function: Function) -> Function:
    """Mark a function that Python calls with arrays and whole numbers and that shall run as machine code.

    Parameters
    ----------
    function
        A loop over arrays (C-contiguous); it gives nothing, a whole number or a tuple of them.

    Returns
    -------
    kernel
        Called like the function.
    """
    return cast("Function", _Kernel(function))


def kernels_are_ready() -> bool:
    """Tell whether kernels were compiled before, so that a first run can say what it waits for.

    Returns
    -------
    ready
        Whether compiled code for these sources is on disk.
    """
    return any(kernel_folder().glob("*.kernel"))


@cache
def kernel_folder() -> Path:
    """Return the folder that holds the compiled kernels of exactly these sources.

    Returns
    -------
    folder
        It exists and can be written.
    """
    name = f"kernels-{_digest()}"
    for parent in _candidates():
        folder = parent / name
        with suppress(OSError):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not _is_private(parent) or not _is_private(folder):
                continue
            with tempfile.TemporaryFile(dir=folder):
                pass
            _remove_old(parent, name)
            return folder
    return Path(tempfile.mkdtemp(prefix="ccp-assess-kernels-"))


def _digest() -> str:
    text = f"{sys.version_info[:2]} {np.__version__} {llvm.llvm_version_info} {source_digest()}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def source_digest() -> str:
    """Name the sources of all kernels by their content.

    Returns
    -------
    digest
        The same wherever these sources are the same.
    """
    digest = hashlib.sha256()
    for name in _SOURCES:
        digest.update((_PACKAGE / name).read_bytes())
    return digest.hexdigest()


def _candidates() -> list[Path]:
    folders = [_PACKAGE / "__pycache__"]
    with suppress(RuntimeError):
        if os.environ.get("XDG_CACHE_HOME"):
            folders.append(Path(os.environ["XDG_CACHE_HOME"]) / "ccp-assess")
        elif os.name == "nt" and os.environ.get("LOCALAPPDATA"):
            folders.append(Path(os.environ["LOCALAPPDATA"]) / "ccp-assess" / "cache")
        else:
            folders.append(Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "ccp-assess")
    owner = str(os.getuid()) if hasattr(os, "getuid") else "user"
    folders.append(Path(tempfile.gettempdir()) / f"ccp-assess-{owner}")
    return folders


def _is_private(folder: Path) -> bool:
    """Tell whether nobody else may write here: what lies here is run."""
    if not hasattr(os, "getuid"):
        return True
    state = folder.stat()
    return state.st_uid in {os.getuid(), 0} and not state.st_mode & 0o022


def _remove_old(parent: Path, name: str) -> None:
    """Remove kernels of sources that nobody used for a month, so that the folder does not grow with every change."""
    for old in parent.glob("kernels-*"):
        with suppress(OSError):
            if old.name != name and time.time() - old.stat().st_mtime > FORGET_AFTER_S:
                for path in old.iterdir():
                    path.unlink()
                old.rmdir()


_PLACES: dict[int, tuple[weakref.ref[npt.NDArray[Any]], tuple[int, ...]]] = {}
"""Where arrays lie and their shapes: numpy takes a microsecond to say so, and the same few arrays come every time."""


def _place(array: npt.NDArray[Any]) -> tuple[int, ...]:
    """Find out where an array lies, and remember it while the array lives."""
    number = id(array)
    place = (int(array.ctypes.data), *array.shape)
    _PLACES[number] = (weakref.ref(array, lambda _: _PLACES.pop(number, None)), place)
    return place


class _Kernel:
    """A function, its machine code, and how its arguments are laid out in memory for it."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self.__doc__ = function.__doc__
        self.__name__ = function.__name__
        self.__wrapped__ = function
        returned = str(function.__annotations__.get("return", "None"))
        self._results = 0 if returned == "None" else returned.count("int")
        self._single = returned == "int"
        self._entry: Any = None

    def __call__(self, *arguments: Any) -> Any:
        if self._entry is None:
            with _LOCK:
                if self._entry is None:
                    self._prepare(arguments)
        values: list[int] = []
        for argument in arguments:
            if isinstance(argument, np.ndarray):
                known = _PLACES.get(id(argument))
                values += known[1] if known is not None and known[0]() is argument else _place(argument)
            else:
                values.append(argument)
        table = (ctypes.c_int64 * max(len(values), self._results, 1))(*values)
        if self._entry(_SCRATCH, _SCRATCH, table):
            raise RuntimeError(f"the compiled loop {self.__name__} went out of bounds")
        if self._single:
            return table[0]
        return tuple(table[: self._results]) if self._results else None

    def _prepare(self, arguments: tuple[Any, ...]) -> None:
        kinds = [
            (argument.dtype, argument.ndim) if isinstance(argument, np.ndarray) else type(argument) is bool
            for argument in arguments
        ]
        for argument in arguments:
            if isinstance(argument, np.ndarray) and not argument.flags.c_contiguous:
                raise TypeError(f"{self.__name__} takes contiguous arrays only")
        described = [f"{kind[0].descr}{kind[1]}" if isinstance(kind, tuple) else str(kind) for kind in kinds]
        checked = os.environ.get("NUMBA_BOUNDSCHECK", "0")
        machine = f"{llvm.get_process_triple()} {llvm.get_host_cpu_name()} {llvm.get_host_cpu_features().flatten()}"
        key = hashlib.sha256("\n".join([*described, checked, machine]).encode()).hexdigest()[:16]
        path = kernel_folder() / f"{self._function.__module__}.{self.__name__}-{key}.kernel"
        stored = _read(path)
        if stored is None:
            with taking_turns(path.with_suffix(".lock"), longest_wait_s=LONGEST_WAIT_S):
                stored = _read(path)  # who had the turn before has most likely made it
                if stored is None:
                    stored = _compile(self._function, kinds, self._results, single=self._single, checked=checked != "0")
                    _write(path, *stored)
        self._entry = _load(*stored)


_SCRATCH = (ctypes.c_int64 * 8)()
"""Where compiled code may leave what it has to say about an error; nobody reads it."""


def _read(path: Path) -> tuple[str, bytes] | None:
    """Read stored object code; ``None`` if there is none or it is not whole."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    parts = content.split(b"\n", 3)
    if len(parts) != 4 or parts[0] + b"\n" != _MARK or hashlib.sha256(parts[3]).hexdigest().encode() != parts[2]:
        return None
    return parts[1].decode(), parts[3]


def _write(path: Path, symbol: str, code: bytes) -> None:
    """Store object code, whole or not at all; a full disk costs time at the next start, nothing else."""
    with suppress(OSError):
        descriptor, name = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(descriptor, "wb") as file:
            file.write(_MARK + symbol.encode() + b"\n" + hashlib.sha256(code).hexdigest().encode() + b"\n" + code)
        Path(name).replace(path)


@cache
def _machine() -> None:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    nothing = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda _: None)
    _KEPT_ALIVE.append(nothing)
    # Arrays that are lent have no owner, so that this is never called; the linker wants it all the same.
    llvm.add_symbol("NRT_MemInfo_call_dtor", ctypes.cast(nothing, ctypes.c_void_p).value)


def _load(symbol: str, code: bytes) -> Any:
    """Make object code callable."""
    _machine()
    machine = llvm.Target.from_triple(llvm.get_process_triple()).create_target_machine()
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    address = engine.get_function_address(symbol)
    if not address:
        raise RuntimeError(f"compiled code without {symbol}; remove the folder {kernel_folder()}")
    _KEPT_ALIVE.append(engine)
    return ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)(address)


def _compile(
    function: Callable[..., Any], kinds: list[Any], results: int, *, single: bool, checked: bool
) -> tuple[str, bytes]:
    """Compile a kernel behind an entry that takes one table of addresses, sizes and numbers."""
    numba: Any = import_module("numba")  # only who compiles pays for the compiler
    cgutils: Any = import_module("numba.core.cgutils")
    compiler: Any = import_module("numba.core.compiler")
    types: Any = import_module("numba.core.types")
    cpu_target: Any = import_module("numba.core.registry").cpu_target
    intrinsic: Any = import_module("numba.extending").intrinsic

    def as_pointer(_context: Any, _address: Any) -> Any:
        def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            return builder.inttoptr(arguments[0], cgutils.voidptr_t)

        return types.voidptr(types.int64), generate

    options = {
        "nogil": True,
        "_nrt": False,  # arrays are lent, nothing is allocated: to count references would take half of the time
        "error_model": "numpy",
        "boundscheck": checked,
        "no_cpython_wrapper": True,  # Python calls none of them: to make them callable takes a sixth of the time
        "no_cfunc_wrapper": True,
    }
    namespace: dict[str, Any] = {
        "carray": numba.carray,
        "pointer": intrinsic(as_pointer),
        "loop": numba.njit(**options)(function),
    }
    source = _entry_source(kinds, results, namespace, single=single)
    exec(compile(source, "<entry>", "exec"), namespace)  # noqa: S102  (made above of numbers alone)
    modules = {sys.modules[each.__module__] for each in _HELPERS} | {sys.modules[function.__module__]}
    replaced: list[tuple[Any, str, Any]] = []
    try:
        for module in modules:
            for name, value in list(vars(module).items()):
                if callable(value) and value in _HELPERS:
                    if value not in _DISPATCHERS:
                        _DISPATCHERS[value] = numba.njit(**options, forceinline=_HELPERS[value])(value)
                    replaced.append((module, name, value))
                    setattr(module, name, _DISPATCHERS[value])
        flags = compiler.Flags()
        flags.nrt = True
        flags.error_model = "numpy"
        flags.boundscheck = checked
        flags.no_cpython_wrapper = True
        flags.no_cfunc_wrapper = True
        compiled = compiler.compile_extra(
            cpu_target.typing_context,
            cpu_target.target_context,
            namespace["entry"],
            (types.CPointer(types.int64),),
            types.void,
            flags,
            {},
        )
    finally:
        for module, name, value in replaced:
            setattr(module, name, value)
    _, _, (code, _) = compiled.library.serialize_using_object_code()
    return compiled.fndesc.llvm_func_name, bytes(code)


def _entry_source(kinds: list[Any], results: int, namespace: dict[str, Any], *, single: bool) -> str:
    """Write the function that unpacks the table; its text is made of numbers only."""
    words: list[str] = []
    at = 0
    for number, kind in enumerate(kinds):
        if isinstance(kind, tuple):
            dtype, dimensions = kind
            namespace[f"type_{number}"] = dtype
            shape = "".join(f"v[{at + 1 + k}]," for k in range(dimensions))
            words.append(f"carray(pointer(v[{at}]), ({shape}), type_{number})")
            at += 1 + dimensions
        else:
            words.append(f"v[{at}] != 0" if kind else f"v[{at}]")
            at += 1
    lines = ["def entry(table):", f"    v = carray(table, ({max(at, results, 1)},))"]
    lines.append(f"    r = loop({', '.join(words)})")
    lines.extend(f"    v[{k}] = r" if single else f"    v[{k}] = r[{k}]" for k in range(results))
    return "\n".join(lines)
