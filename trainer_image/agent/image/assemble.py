"""Puts a Python together that runs in any image: `assemble.py DIRECTORY`, which is where it runs.

It is the Python that runs this, with the C library, its loader and all other libraries that it and
the packages in DIRECTORY need. Its program names them by absolute paths: no image need have any.

Each pod waits for the copy of it, so it has as few files and bytes as it can: most modules are in
two archives, and what the agent does without is left out.
"""

import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

_LEFT_OUT = (
    *("test", "tests", "idlelib", "tkinter", "turtle*", "ensurepip", "lib2to3", "pydoc_data"),
    *("site-packages", "dist-packages", "__pycache__", "config-*", "distutils", "_tkinter*"),
    # Native ones, with libraries that nothing else needs: for terminals, NIS, Berkeley DB, sound.
    *("_curses*", "readline*", "nis.*", "_dbm*", "_gdbm*", "_crypt.*", "ossaudiodev*", "audioop*"),
    *("_test*", "_ctypes_test*", "_xxtestfuzz*", "xxlimited*"),
)
_FASTER_ONLY = ("yaml/_yaml*.so", "charset_normalizer/*.so")
"""Native modules of packages that do the same without them, and are in an archive then."""
_NATIVE_MODULES = "lib-dynload"
_READS_ITS_FILES = frozenset({"certifi"})
_LIBRARY = re.compile(r"^\s*(?:\S+ => )?(/\S+) \(0x", re.MULTILINE)
_LOADER = "ld-linux*.so.*"
_OPENED_BY_NAME = "*-linux-gnu/libgcc_s.so.1"
"""The C library opens it when a thread ends."""
_STATIC_PROGRAMS = {"busybox": "sh", "tini-static": "tini"}


def main() -> None:
    """Fill the directory."""
    root = Path(sys.argv[1])
    binaries, libraries, packages = root / "bin", root / "lib", root / "packages"
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    standard = libraries / version
    binaries.mkdir(parents=True)
    python = binaries / "python3"
    shutil.copy(Path(sys.executable).resolve(), python)
    for program, name in _STATIC_PROGRAMS.items():
        shutil.copy(shutil.which(program) or program, binaries / name)
    stdlib, left_out = sysconfig.get_path("stdlib"), shutil.ignore_patterns(*_LEFT_OUT)
    shutil.copytree(stdlib, standard, ignore=left_out)
    shutil.rmtree(packages / "bin", ignore_errors=True)
    for pattern in _FASTER_ONLY:
        for module in packages.glob(pattern):
            module.unlink()
    _bring_libraries(python, libraries, packages)
    _compile(libraries)
    _compile(packages)
    modules = [one for one in standard.iterdir() if one.name != _NATIVE_MODULES]
    # Python needs this one to find zlib, so it is not compressed.
    archive = libraries / f"{version.replace('.', '')}.zip"
    _archive(modules, standard, archive, zipfile.ZIP_STORED)
    pure = [one for one in _parts(packages) if not _stays(one)]
    _archive(pure, packages, root / "packages.zip", zipfile.ZIP_DEFLATED)


def _bring_libraries(python: Path, libraries: Path, packages: Path) -> None:
    modules = [*libraries.rglob("*.so"), *packages.rglob("*.so*")]
    for library in {*_needed([python, *modules]), *Path("/lib").glob(_OPENED_BY_NAME)}:
        if not library.is_relative_to(packages):
            shutil.copy(library.resolve(), libraries / library.name)
    (loader,) = libraries.glob(_LOADER)
    # An rpath and no runpath: that would come after the LD_LIBRARY_PATH of the image. It holds for
    # all that the program loads.
    how = ["--set-interpreter", str(loader), "--force-rpath", "--set-rpath", str(libraries)]
    subprocess.run(["patchelf", *how, str(python)], check=True)


def _needed(files: Iterable[Path]) -> Iterator[Path]:
    """Yield the libraries that programs and modules load, those of libraries included."""
    for file in files:
        listed = subprocess.run(["ldd", str(file)], capture_output=True, text=True, check=False)
        yield from (Path(found[1]) for found in _LIBRARY.finditer(listed.stdout))


def _compile(directory: Path) -> None:
    """Put byte code in the place of the sources."""
    how = ["-m", "compileall", "-b", "-q", "--invalidation-mode", "unchecked-hash"]
    subprocess.run([sys.executable, *how, str(directory)], check=True)
    for source in directory.rglob("*.py"):
        source.unlink()


def _parts(directory: Path) -> Iterator[Path]:
    """Yield packages and modules; of a namespace with native ones, those in it."""
    for one in directory.iterdir():
        if _stays(one) and one.is_dir() and not (one / "__init__.pyc").exists():
            yield from _parts(one)
        else:
            yield one


def _stays(package: Path) -> bool:
    """Whether a package has to be in files: what it loads from there is not Python."""
    native = package.suffix == ".so" or any(package.rglob("*.so*"))
    return native or package.name in _READS_ITS_FILES


def _archive(entries: Iterable[Path], base: Path, archive: Path, compression: int) -> None:
    """Move files and directories into an archive."""
    with zipfile.ZipFile(archive, "w", compression) as target:
        for entry in sorted(entries):
            # Also the directories: without them no package is found that has no __init__.
            above = [one for one in entry.parents if one.is_relative_to(base) and one != base]
            for one in (*above, entry, *sorted(entry.rglob("*"))):
                name = one.relative_to(base)
                if str(name) + "/" not in target.NameToInfo:
                    target.write(one, name)
            if entry.is_dir():
                shutil.rmtree(entry)
            else:
                entry.unlink()


if __name__ == "__main__":
    main()
