"""``python -m tools inspect``: what a bundle can do, listed without importing or evaluating any of it."""

from __future__ import annotations

import ast
import codecs
import io
import sys
import tokenize
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from tools.share.archive import DAMAGES, check_archive, is_weights
from tools.share.bounded import JSON_BYTES, PYTHON_BYTES, parse_config, parse_python
from tools.share.bundle_files import BundleFiles, archive_files, folder_files
from tools.share.config_risks import LOGGING, judged_configs, judged_logging
from tools.share.pickles import code_inside
from tools.share.plain import plain
from tools.share.risks import Finding, findings, is_known
from tools.share.risky_names import KNOWN, RISKS

KINDS = {
    "import": "imports, which run a module's code",
    "target": "_target_s, which are called",
    "expression": "expressions, which Python evaluates",
    "macro": "parts of other files that are read in",
    "logging": "lines of a logging config, which Python evaluates",
    "name": "names of Python objects elsewhere",
    "option": "options that load pickles",
}

COUNTED = {
    "import": "imports",
    "target": "targets",
    "expression": "expressions",
    "macro": "macros",
    "python": "Python files",
}

MOST_TEXT = 8 << 20
"""Bytes of configs and Python files of one bundle that are looked at."""

SCRIPTS = (
    ".sh",
    ".bash",
    ".bat",
    ".cmd",
    ".ps1",
    ".command",
    ".desktop",
    ".lnk",
    ".js",
    ".vbs",
    ".ipynb",
    ".pl",
    ".rb",
)
PYTHON = (".py", ".pyw")
ENCODINGS = {"utf-8", "utf-8-sig", "ascii", "iso-8859-1"}
UNSEEN = set(
    "\u200b\u200c\u200d\u2060\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c\x0c\x1b\x08\x7f"
)
"""Characters that show code otherwise than Python reads it."""

WIDTH = 80


@dataclass
class Listing:
    """What was found: lines by the section they belong to, and what deserves a look."""

    sections: dict[str, list[str]] = field(default_factory=dict)
    places: dict[str, list[str]] = field(default_factory=dict)
    numbers: Counter = field(default_factory=Counter)

    def look(self, risk: str, place: str) -> None:
        """Note a place that deserves a look."""
        self.places.setdefault(risk, []).append(place)

    def add(self, section: str, text: str, risks: Iterable[str] = ()) -> None:
        """A line, with `!` before it if there is something to look at, `?` if it is only unknown."""
        self.sections.setdefault(section, []).append(f"{_mark(risks)} {text}")


def inspect(archive: str, checksum: str | None = None, summary: bool = False, full: bool = False) -> None:
    """List every import, _target_ and expression of a bundle's configs, and what its Python files import and call.

    Nothing is evaluated, imported or unpacked. The archive is checked first: paths, links, sizes, checksums, weights.
    A summary comes first. It is no sandbox and no proof: see tools/share/README.md for what it cannot see.

    Args:
        archive: NAME_v<version>.zip, or the folder of an unpacked bundle, which is not checked.
        checksum: SHA-1 or SHA-256 of the archive, from where you trust it: that of model_info.json, for instance.
        summary: True prints the summary alone.
        full: True prints long texts whole.
    """
    path = Path(str(archive))
    header = []
    if path.is_dir():
        with folder_files(path) as files:
            found = looked_into(files, full)
        header.append(f"{path.resolve().name} is a folder: its files were not checked against SHA256SUMS.")
    else:
        name = check_archive(path, checksum=None if checksum is None else str(checksum))
        with archive_files(path) as files:
            found = looked_into(files, full)
            header.append(f"{path.name} holds {name}: {len(files.sizes)} files, all as its SHA256SUMS says.")
        if checksum is None:
            header.append("Whoever alters an archive can write new checksums: compare with --checksum")
            header.append("from the release's list.")
    print("\n".join(summary_lines(header, found)))
    if not summary:
        print("\n".join(detail_lines(found)))


def looked_into(files: BundleFiles, full: bool = False) -> Listing:
    """Everything in a bundle that could run.

    Raises:
        ValueError: a config cannot be read within bounds, or there is more than is looked at: it cannot be listed.
    """
    longest = None if full else 400
    found = Listing()
    own = {path.split("/")[0].removesuffix(".py") for path in files.sizes if path.endswith(".py")}
    configs, total = {}, 0
    for path, content in _texts(files):
        total += len(content)
        if total > MOST_TEXT:
            raise ValueError(f"more than {MOST_TEXT} bytes of configs and Python files, so that they cannot be listed")
        if _is_config(path):
            configs[path] = parse_config(path, content)
            if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in content[:4]:
                found.look("hidden", f"{path}: is not UTF-8, so that programs read it differently")
        elif path.lower().endswith(PYTHON):
            _add_python(found, path, content, own, longest)
        elif path.lower().endswith((".conf", ".ini", ".cfg")) or LOGGING.search(content):
            for judged in judged_logging(path, content.decode(errors="replace")):
                _add_entry(found, judged, longest)
        else:
            _add_text(found, path, content)
    for judged in judged_configs(configs, own):
        _add_entry(found, judged, longest)
    for path in sorted(files.sizes):
        _add_file(found, files, path)
    for path in files.links:
        found.add("other", f"{plain(path)}: a link or device, which was not followed", ["hidden"])
        found.look("hidden", f"{path}: a link or device")
    for name in sorted(own):
        if name in sys.stdlib_module_names or name in KNOWN or name in ("sitecustomize", "usercustomize"):
            found.look("hidden", f"{name}: a module of the bundle, in place of the usual one of that name")
    return found


def summary_lines(header: Iterable[str], found: Listing) -> list[str]:
    """A screen of 24 lines of 80 characters at most: what there is, and what deserves a look, the worst first."""
    numbers = [f"{found.numbers[kind]} {word}" for kind, word in COUNTED.items() if found.numbers[kind]]
    lines = [_cut(line) for line in header]
    lines += ["", _cut(f"It has {', '.join(numbers) or 'no configs and no code'}. Nothing was run.")]
    if not found.places:
        return [
            *lines,
            "No name in it is known for harm. That is no proof: code can hide, see",
            "tools/share/README.md.",
        ]
    lines.append("What deserves a look (! below; ? for what is only unknown):")
    for risk, title in RISKS.items():
        places = list(dict.fromkeys(found.places.get(risk, [])))
        if places:
            lines.append(_cut(f"{_mark([risk])} {title}: {len(places)} place{'s' * (len(places) > 1)}"))
            lines.append(_cut(f"      {'first ' * (len(places) > 1)}{places[0]}"))
    return [*lines, "Run it if you trust who made it: this list is no sandbox, and code can hide."]


def detail_lines(found: Listing) -> list[str]:
    """Everything, section by section."""
    lines = []
    for kind, title in KINDS.items():
        if of := found.sections.get(kind):
            lines += ["", f"{len(of)} {title}:", *of]
    lines += ["", "Python files, with what they import and call that deserves a look:"]
    lines += found.sections.get("python", [])
    if other := found.sections.get("other"):
        lines += ["", "Other files that deserve a look:", *other]
    return lines


def _texts(files: BundleFiles) -> Iterator[tuple[str, bytes]]:
    """Configs, code and other short texts, also those within weights: MONAI reads configs from TorchScript files."""
    for path in sorted(files.sizes):
        if _is_config(path) or path.lower().endswith(PYTHON) or files.sizes[path] <= PYTHON_BYTES:
            yield path, files.read(path, JSON_BYTES if _is_config(path) else PYTHON_BYTES)
        with files.seekable(path) as file:
            if zipfile.is_zipfile(file):
                file.seek(0)
                with suppress(*DAMAGES):  # of an unpacked bundle; it is named as an archive that cannot be read
                    yield from _texts_within(path, file)


def _texts_within(path: str, file: IO[bytes]) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(file) as inner:
        for entry in inner.infolist():
            if _is_config(entry.filename) or entry.filename.lower().endswith((".conf", ".ini", ".cfg")):
                with inner.open(entry) as part:
                    yield f"{path}!{entry.filename}", part.read(JSON_BYTES + 1)


def _is_config(path: str) -> bool:
    return path.lower().endswith(("json", "yaml", "yml"))


def _add_entry(found: Listing, judged: Any, longest: int | None) -> None:
    entry = judged.entry
    found.numbers[entry.kind] += 1
    where = plain(f"{entry.config} {entry.id}")
    found.add(entry.kind, f"{where}: {plain(entry.text, longest)}", judged.risks)
    for risk in judged.risks:
        found.look(risk, f"{where}: {plain(entry.text, 200)}")


def _add_python(found: Listing, path: str, source: bytes, own: set[str], longest: int | None) -> None:
    found.numbers["python"] += 1
    imports, notable = python_summary(source, own)
    where = plain(path)
    found.add("python", f"{where}: {plain(', '.join(imports) or 'imports nothing')}", [f.risk for f in notable])
    shown = set()
    for finding in notable:
        found.look(finding.risk, f"{where} line {finding.line}: {plain(finding.text, 200)}")
        line = f"    line {finding.line}: {plain(finding.text, longest)}"
        if line not in shown:
            found.add("python", line, [finding.risk])
        shown.add(line)


def python_summary(source: bytes, own: Iterable[str] = ()) -> tuple[list[str], list[Finding]]:
    """Modules that a Python file imports, and what deserves a look.

    Args:
        source: source as it lies in the file: Python decodes it by its `# coding:`, and so does this.
        own: first parts of the names of modules that lie in the bundle.
    """
    try:
        tree = parse_python(source)
        encoding, _ = tokenize.detect_encoding(io.BytesIO(source).readline)
        text = source.decode(encoding)
    except (ValueError, SyntaxError, LookupError) as error:
        return [], [Finding(0, "hidden", f"not Python: {error}")]
    imports, unknown = set(), []
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = ["." * node.level + (node.module or "")]
        imports |= set(names)
        strange = [name for name in names if not name.startswith(".") and not is_known(name.split(".")[0], own)]
        unknown += [Finding(node.lineno, "unknown", f"import of {name}") for name in strange]
    notable = findings(tree) + unknown
    if encoding.lower() not in ENCODINGS:
        notable.append(Finding(1, "hidden", f"is written in {encoding}, so that editors show other code than runs"))
    unseen = UNSEEN & set(text)
    if unseen:
        notable.append(Finding(1, "hidden", f"has characters that cannot be seen: {plain(''.join(sorted(unseen)))}"))
    return sorted(imports), sorted(notable, key=lambda finding: finding.line)


def _add_text(found: Listing, path: str, content: bytes) -> None:
    """Other files that programs run: scripts, Python under another name, requirements from elsewhere."""
    reason = None
    if content.startswith(b"#!") or path.lower().endswith(SCRIPTS):
        reason = "program", "a script"
    elif Path(path).name.startswith("requirements") and path.endswith(".txt"):
        lines = content.decode(errors="replace").splitlines()
        odd = [line for line in lines if line.strip().startswith("-") or "://" in line or "@" in line or "/" in line]
        reason = ("network", f"has pip fetch what is not on its index: {plain(odd[0])}") if odd else None
    elif b"\0" not in content[:1024]:
        try:
            tree = parse_python(content)
        except ValueError:
            return
        if findings(tree) or any(isinstance(node, ast.Import | ast.ImportFrom) for node in ast.walk(tree)):
            reason = "hidden", "is Python under another name"
    if reason is not None:
        found.add("other", f"{plain(path)}: {reason[1]}", [reason[0]])
        found.look(reason[0], f"{plain(path)}: {reason[1]}")


def _add_file(found: Listing, files: BundleFiles, path: str) -> None:
    """Pickles and machine code, by content."""
    with files.seekable(path) as file:
        reason = code_inside(file)
        if reason is not None and path.endswith((".pt", ".pth", ".ckpt", ".bin")):
            file.seek(0)
            reason = is_weights(file.read()) and f"{reason}, and no weights alone"
    if reason is not None:
        found.add("other", f"{plain(path)}: {plain(reason)}", ["pickle"])
        found.look("pickle", f"{plain(path)}: {plain(reason)}")


def _mark(risks: Iterable[str]) -> str:
    risks = set(risks)
    return "!" if risks - {"unknown"} else "?" if risks else " "


def _cut(line: str) -> str:
    line = plain(line, None)
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 4]} ..."
