"""What Numba makes of a function, and how it is kept from run to run.

Numba keeps what it has compiled beside the source (or in the user's cache folder where that cannot be written). Its own stamp is of a
function's file alone; functions use constants and functions of each other's files, so here the stamp is of the whole folder that its file is in, and of this one.

Left to itself Numba optimises every function with all that it calls, and turns it into machine code, and does so again in whatever calls it. Here a function that others call is a
`Part`, which they are made of, and machine code is made of a `Whole` alone, which is what Python calls.

This rests on private names of Numba 0.68: look here when a newer one does not compile or load.
"""

from __future__ import annotations

import hashlib
import inspect
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
from numba.core.caching import (
    CacheImpl,
    CompileResultCacheImpl,
    FunctionCache,
    InTreeCacheLocator,
    UserProvidedCacheLocator,
    UserWideCacheLocator,
)
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, compile_result
from numba.core.compiler_machinery import PassManager
from numba.core.environment import lookup_environment
from numba.core.runtime import _nrt_python  # type: ignore[attr-defined]
from numba.core.runtime.nrt import rtsys
from numba.core.typed_passes import (
    AnnotateTypes,
    IRLegalization,
    NativeLowering,
    NoPythonBackend,
    NoPythonSupportedFeatureValidation,
    NopythonTypeInference,
    PreLowerStripPhis,
)
from numba.core.untyped_passes import (
    FixupArgs,
    GenericRewrites,
    IRProcessing,
    ReconstructSSA,
    TranslateByteCode,
)

HERE = Path(__file__).resolve().parent
OURS = HERE.parent
"""The package whose functions are kept so."""


def folder_of(function: Any) -> Path:
    """Where a function's source is."""
    return Path(inspect.getfile(function)).resolve().parent


@cache
def stamp(folder: Path) -> str:
    """What the functions of a folder are: a digest of every source file in it, and here."""
    digest = hashlib.sha256()
    for file in sorted({*folder.glob("*.py"), *HERE.glob("*.py")}):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def short(folder: Path) -> str:
    """Part of the name of every file of them."""
    return stamp(folder)[:12]


class _OfFolder:
    """Locates the cache of a function of ours: fresh as long as no file of its folder has changed."""

    folder: Path

    def get_source_stamp(self) -> str:
        return stamp(self.folder)

    def get_disambiguator(self) -> str:
        """Part of the file's name: what another version has left, which may not load here, is never opened."""
        return f"{super().get_disambiguator()}-{short(self.folder)}"  # type: ignore[misc]

    @classmethod
    def from_function(cls, function: Any, file: str) -> Any:
        folder = Path(file).resolve().parent
        if not folder.is_relative_to(OURS):
            return None
        made = super().from_function(function, file)  # type: ignore[misc]
        if made is not None:
            made.folder = folder
        return made


_OURS: list[Any] = [
    type(f"Of{base.__name__}", (_OfFolder, base), {})
    for base in (UserProvidedCacheLocator, InTreeCacheLocator, UserWideCacheLocator)
]
CacheImpl._locator_classes = [*_OURS, *CacheImpl._locator_classes]  # noqa: SLF001 - numba's only seam for it


class Part(JITCodeLibrary):
    """Code that only compiled functions call. It is kept as LLVM has it, and optimised and turned into machine code as part of what calls it; Numba would do that for
    every function on the way as well, which was half of what compiling took."""

    class _NoMachineCode:
        """Stands in for who would be told where an environment lies: of a part it lies where the whole does."""

        def __init__(self, codegen: Any) -> None:
            self._codegen = codegen

        def set_env(self, _name: str, _environment: Any) -> None: ...

        def __getattr__(self, name: str) -> Any:
            return getattr(self._codegen, name)

    @property
    def codegen(self) -> Any:
        """Of the library; nothing of it is ever called by its address."""
        return self._NoMachineCode(super().codegen)

    def get_pointer_to_function(self, _name: str) -> int:
        """None."""
        return 0

    def _optimize_final_module(self) -> None: ...

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._finalized = True

    def serialize_using_object_code(self) -> Any:
        """What is kept on disk."""
        return self.serialize_using_bitcode()

    @classmethod
    def _unserialize(cls, codegen: Any, state: Any) -> Any:
        library = cls(codegen, state[0])
        library._final_module = llvm.parse_bitcode(state[2])
        library._finalize_final_module()
        return library


class Whole(JITCodeLibrary):
    """Code that Python calls. What it is kept as on disk is machine code alone: no other function is made of it."""

    def finalize(self) -> None:
        """Make machine code of it. What is linked in is its own: functions may become part of what calls them, and take no argument that nobody asks for; of their
        environments only those stay that something asks for."""
        self._own = {*_environments(self._final_module), *_functions(self._final_module)}
        super().finalize()

    def _optimize_final_module(self) -> None:
        for name in _environments(self._final_module):
            if name not in self._own:
                self._final_module.get_global_variable(name).linkage = "linkonce_odr"
        for name in _functions(self._final_module):
            if name not in self._own:
                self._final_module.get_function(name).linkage = "internal"
        super()._optimize_final_module()

    def _finalize_final_module(self) -> None:
        super()._finalize_final_module()
        for name in _environments(self._final_module):
            if (environment := lookup_environment(name)) is not None:
                self.codegen.set_env(name, environment)

    def serialize_using_object_code(self) -> Any:
        """What is kept on disk."""
        self._ensure_finalized()
        return self.name, self._get_compiled_object(), _functions(self._final_module)

    @classmethod
    def _unserialize(cls, codegen: Any, state: Any) -> Any:
        library = cls(codegen, state[0])
        library.enable_object_caching()
        library._set_compiled_object(state[1])
        library._finalize_final_module()
        codegen._engine._defined_symbols.update(state[2])  # noqa: SLF001
        return library


def _functions(module: Any) -> list[str]:
    """The names of the functions that a module has."""
    return [function.name for function in module.functions if not function.is_declaration]


def _environments(module: Any) -> list[str]:
    """The names of where a module looks for what its functions need of Python."""
    return [v.name for v in module.global_variables if v.name.startswith("_ZN08NumbaEnv")]


PASSES = (
    TranslateByteCode, FixupArgs, IRProcessing, GenericRewrites, ReconstructSSA, NopythonTypeInference, PreLowerStripPhis,
    NoPythonSupportedFeatureValidation, IRLegalization, AnnotateTypes, NativeLowering, NoPythonBackend,
)  # fmt: skip
"""What is done to compile a function of ours, in its order. What Numba does besides, for closures, comprehensions, `with` and arguments that may be None, is left out: there are none here, and looking for
them is a tenth of compiling. A function that has one does not compile."""


class _Making(CompilerBase):
    """Compiles a function to a library of its `KIND`."""

    KIND: type[JITCodeLibrary]

    def define_pipelines(self) -> list[PassManager]:
        """What is done, of which Numba asks every compiler."""
        rules = PassManager("rules")
        for one in PASSES:
            rules.add_pass(one, one.__name__)
        rules.finalize()
        return [rules]

    def compile_extra(self, func: Any) -> Any:
        """Numba's entry."""
        self.state.library = self.KIND(self.state.targetctx.codegen(), func.__qualname__)
        self.state.library.enable_object_caching()
        return super().compile_extra(func)


class MakingPart(_Making):
    """Of a function that compiled ones call."""

    KIND = Part


class MakingWhole(_Making):
    """Of one that Python calls."""

    KIND = Whole


class _OnDisk(CompileResultCacheImpl):
    """What is kept of a compiled function."""

    KIND: type[JITCodeLibrary]

    def get_filename_base(self, fullname: str, abiflags: str) -> str:
        """Part of the file's name."""
        return f"{super().get_filename_base(fullname, abiflags)}-{self.KIND.__name__.lower()}"

    def rebuild(self, target_context: Any, payload: Any) -> Any:
        """The compiled function as it was."""
        data, descriptor, environment, signature, _object, lifted, annotation, reload, environments = payload
        for run in reload:
            run()
        library = self.KIND._unserialize(target_context.codegen(), data)  # noqa: SLF001
        entry = target_context.get_executable(library, descriptor, environment)
        for other in environments:
            library.codegen.set_env(other.env_name, other)
        return compile_result(
            typing_context=target_context.typing_context, target_context=target_context, entry_point=entry, type_annotation=annotation,
            signature=signature, objectmode=False, lifted=lifted, fndesc=descriptor, library=library, environment=environment,
            reload_init=reload, referenced_envs=environments,
        )  # fmt: skip


class _PartOnDisk(_OnDisk):
    KIND = Part


class _WholeOnDisk(_OnDisk):
    KIND = Whole


class _Kept(FunctionCache):
    """Loads what was compiled without all that compiling takes: Numba would first import what it knows of NumPy, and of SciPy where that is installed. Where a function is kept is
    found out when it is first asked for: of most it never is, and for all together it takes a twentieth of a start."""

    def __init__(self, function: Any) -> None:
        self._function = function

    def __getattr__(self, name: str) -> Any:
        if "_impl" in vars(self) or name == "_function":
            raise AttributeError(name)
        super().__init__(self._function)
        return getattr(self, name)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """What there is for a signature, None for nothing."""
        _name_helpers()
        with self._guard_against_spurious_io_errors():
            return self._load_overload(sig, target_context)


class KeptPart(_Kept):
    """Of a function that compiled ones call."""

    _impl_class = _PartOnDisk  # type: ignore[assignment]

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Likewise: something is being made of it, with the functions that count references."""
        rtsys.initialize(target_context)
        return super().load_overload(sig, target_context)


class KeptWhole(_Kept):
    """Of one that Python calls."""

    _impl_class = _WholeOnDisk  # type: ignore[assignment]


@cache
def _name_helpers() -> None:
    """Tell LLVM where what Numba has in C lies, as `rtsys.initialize` does too. That compiles the functions that count references besides, in 20 ms; machine code has them in it."""
    for name, address in _nrt_python.c_helpers.items():
        llvm.add_symbol(name if name.startswith("_") else f"NRT_{name}", address)
