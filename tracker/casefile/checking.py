"""Whether a bundle is what was exported, and whether recordings are those that it was cut from."""

import contextlib
import hashlib
import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from reid.errors import DataError
from tracker.casefile.bundle import FORMAT, MANIFEST
from tracker.casefile.cases import LOG
from tracker.casefile.log import broken
from tracker.casefile.sources import content_of
from tracker.progress import Progress

_LARGEST = 100_000_000  # bytes of a manifest or log
_BLOCK = 1 << 20
_UNREADABLE = (OSError, KeyError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class Verdict:
    """What checking a bundle found.

    Attributes:
        seal: SHA-256 of its manifest.
        files: how many agree with the manifest.
        faults: what does not, a line each; none where the bundle is what was exported.
        recordings: name, SHA-256, and what became of it: "agrees", "differs" or "not found", where it was looked for.
    """

    seal: str
    files: int
    faults: tuple[str, ...]
    recordings: tuple[tuple[str, str, str], ...]


def check(bundle: Path, folder: Path | None, progress: Progress) -> Verdict:
    """Check a bundle against its manifest, and recordings against what it says of them.

    Args:
        bundle: a folder or a .zip.
        folder: where recordings are looked for, by their content; None looks at the paths that they had.
        progress: told each file.

    Raises:
        DataError: it is no bundle, or cannot be read.
    """
    with _opened(bundle) as files:
        content = files.read(MANIFEST)
        manifest = _manifest(bundle, content)
        listed: Mapping[str, Any] = manifest["files"]
        faults, good = [], 0
        with progress.stage("verifying", len(listed), "files") as advance:
            for name, facts in listed.items():
                fault = files.fault(name, facts["sha256"])
                faults += [fault] if fault else []
                good += not fault
                advance(1)
        faults += [f"{name}: is not in the manifest" for name in files.names if name not in (*listed, MANIFEST)]
        faults += _log_faults(files, listed)
    seal = hashlib.sha256(content).hexdigest()
    return Verdict(seal, good, tuple(faults), tuple(_recordings(manifest["recordings"], folder, progress)))


def _manifest(bundle: Path, content: bytes) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads(content)
        known = int(manifest["format"])
        if known == FORMAT:
            for facts in manifest["files"].values():
                str(facts["sha256"])
            for facts in manifest["recordings"]:
                str(facts["sha256"] + facts["path"] + facts["name"])
                int(facts.get("bytes", 0))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        raise DataError(f"{bundle}: its {MANIFEST} is damaged; ask for the bundle again") from None
    if known != FORMAT:
        raise DataError(f"{bundle}: bundle format {known}, this reidtrack reads {FORMAT}; install a newer reidtrack")
    return manifest


def _log_faults(files: "_Files", listed: Mapping[str, Any]) -> list[str]:
    if LOG not in listed:
        return [f"{LOG}: the case's log is not in the manifest"]
    if LOG not in files.names:
        return []  # told already
    line = broken(files.read(LOG))
    return [] if line is None else [f"{LOG}: line {line} does not follow from the one before it"]


def _recordings(
    recordings: Sequence[Mapping[str, Any]], folder: Path | None, progress: Progress
) -> list[tuple[str, str, str]]:
    found: dict[str, str] = {}
    paths = [Path(one["path"]) for one in recordings] if folder is None else _candidates(recordings, folder)
    with progress.stage("recordings", len(paths), "files") as advance:
        for path in paths:
            with contextlib.suppress(OSError):
                if path.is_file() or path.is_dir():  # a manifest may name a device, which has no end
                    found[content_of(path)] = str(path)
            advance(1)
    there = {_named(path, folder) for path in paths if path.is_file() or path.is_dir()}
    lines = []
    for one in recordings:
        other = _named(Path(one["path"]), folder) in there
        state = "agrees" if one["sha256"] in found else "differs" if other else "not found"
        lines.append((str(one["name"]), str(one["sha256"]), state))
    return lines


def _named(path: Path, folder: Path | None) -> str:
    """By what a file is taken for a recording: its path where it was, its name in another folder."""
    return str(path) if folder is None else path.name


def _candidates(recordings: Sequence[Mapping[str, Any]], folder: Path) -> list[Path]:
    """Files and albums below a folder that may be one of the recordings, by name or by size."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; give the folder that holds the recordings")
    names = {Path(one["path"]).name for one in recordings}
    sizes = {one["bytes"] for one in recordings if "bytes" in one}
    return [
        path
        for path in sorted([folder, *folder.rglob("*")])
        if path.name in names or (path.is_file() and path.stat().st_size in sizes)
    ]


class _Files:
    """A bundle's files by their names in the manifest, in a folder."""

    def __init__(self, bundle: Path) -> None:
        self.bundle = bundle
        self.names = self._listed()

    def _listed(self) -> list[str]:
        return sorted(
            path.relative_to(self.bundle).as_posix()
            for path in self.bundle.rglob("*")
            if path.is_file() or path.is_symlink()
        )

    def __enter__(self) -> "_Files":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def open(self, name: str) -> IO[bytes]:
        return (self.bundle / name).open("rb")

    def read(self, name: str) -> bytes:
        """A small file.

        Raises:
            DataError: it is not there, cannot be read, or is too large to be one.
        """
        try:
            with self.open(name) as file:
                content = file.read(_LARGEST + 1)
        except _UNREADABLE:
            raise DataError(
                f"{self.bundle}: no {name} in it that can be read; give a bundle that was exported"
            ) from None
        if len(content) > _LARGEST:
            raise DataError(f"{self.bundle}: its {name} is too large to be one; ask for the bundle again")
        return content

    def fault(self, name: str, expected: str) -> str:
        """What is wrong with a file; "" where nothing is."""
        if name not in self.names or self.outside(name):
            return f"{name}: is missing"
        try:
            content = hashlib.sha256()
            with self.open(name) as file:
                while block := file.read(_BLOCK):
                    content.update(block)
        except _UNREADABLE as error:
            return f"{name}: cannot be read ({error})"
        found = content.hexdigest()
        return "" if found == expected else f"{name}: was changed (SHA-256 {found}, exported {expected})"

    def outside(self, name: str) -> bool:
        """Whether a name leads out of the bundle."""
        path = self.bundle / name
        return path.is_symlink() or not path.resolve().is_relative_to(self.bundle.resolve())


class _Zipped(_Files):
    """The same in a .zip, whose one folder holds them."""

    def __init__(self, bundle: Path) -> None:
        self._archive = zipfile.ZipFile(bundle)
        super().__init__(bundle)

    def _listed(self) -> list[str]:
        inside = [name for name in self._archive.namelist() if not name.endswith("/")]
        if len(set(inside)) < len(inside):
            raise DataError(f"{self.bundle}: holds a file twice, so that programs may show either; ask for another")
        self._root = next((name.removesuffix(MANIFEST) for name in inside if name.endswith(f"/{MANIFEST}")), "")
        return sorted(name[len(self._root) :] if name.startswith(self._root) else f"../{name}" for name in inside)

    def __exit__(self, *_: object) -> None:
        self._archive.close()

    def open(self, name: str) -> IO[bytes]:
        return self._archive.open(self._root + name)

    def outside(self, name: str) -> bool:
        return name.startswith("../")


def _opened(bundle: Path) -> _Files:
    if bundle.is_dir():
        return _Files(bundle)
    try:
        return _Zipped(bundle)
    except FileNotFoundError:
        raise DataError(f"{bundle}: no such bundle; give a folder or .zip that was exported") from None
    except (*_UNREADABLE, ValueError):
        raise DataError(f"{bundle}: neither a folder nor a .zip that can be read; give an exported bundle") from None
