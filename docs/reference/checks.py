"""What must hold of the reference: nothing public is without words, nothing that is named leads nowhere.

The generator leaves out what it does not find, and leaves unlinked what it does not know. Here both are
errors: a public object without a docstring, a signature that cannot be read, a link to a page or place that
is not there, and a module or name of atomfit, in a docstring or on a page, that does not exist.
"""

import importlib
import re
from collections.abc import Iterable, Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path

import pdoc.doc

#: Dotted names in backticks that may be modules or objects of atomfit.
_DOTTED = re.compile(r"`(?:atomfit\.)?([a-z_]+(?:\.\w+)+)(?:\(\))?`")
#: Files are called like that, too.
_ENDINGS = (".csv", ".html", ".json", ".mrc", ".npy")


def documented(modules: Mapping[str, pdoc.doc.Module]) -> Iterator[str]:
    """Complaints about public objects, and public methods of classes, that are without words."""
    for module in modules.values():
        for name in module.obj.__all__:
            member = module.get(name)
            if member is None:
                yield f"{module.fullname}.{name} is not there"
                continue
            yield from _of(member)
            if isinstance(member, pdoc.doc.Class):
                for inner in member.own_members:
                    if not inner.name.startswith("_") and not _is_field(inner):
                        yield from _of(inner)


def _is_field(member: pdoc.doc.Doc) -> bool:
    """Whether the docstring of its class tells of it; properties tell for themselves."""
    return isinstance(member, pdoc.doc.Variable) and not isinstance(
        vars(_class_of(member)).get(member.name), property
    )


def _class_of(member: pdoc.doc.Doc) -> type:
    found = importlib.import_module(member.modulename)
    for name in member.qualname.split(".")[:-1]:
        found = getattr(found, name)
    return found if isinstance(found, type) else type(found)


def _of(member: pdoc.doc.Doc) -> Iterator[str]:
    if not member.docstring and member.name != "__version__":
        yield f"{member.fullname} has no docstring"
    if isinstance(member, pdoc.doc.Function) and "unable to get signature" in str(member.signature):
        yield f"{member.fullname} has no signature"


def names(texts: Mapping[str, str], packages: Iterable[str]) -> Iterator[str]:
    """Complaints about modules and objects of atomfit that are named in texts and do not exist."""
    known = set(packages)
    for place, text in texts.items():
        for dotted in sorted(set(_DOTTED.findall(text))):
            if dotted.endswith(_ENDINGS) or dotted.partition(".")[0] not in known:
                continue
            if not _exists(f"atomfit.{dotted}"):
                yield f"{place}: there is no `{dotted}`"


def _exists(dotted: str) -> bool:
    home, _, name = dotted.rpartition(".")
    if home == "atomfit":
        return True
    try:
        importlib.import_module(dotted)
        return True
    except ModuleNotFoundError:
        pass
    try:
        return hasattr(importlib.import_module(home), name)
    except ModuleNotFoundError:
        holder, _, kind = home.rpartition(".")
        return _exists(home) and hasattr(getattr(importlib.import_module(holder), kind), name)


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.places: set[str] = set()
        self.links: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        self.places.add(told.get("id") or "")
        self.links |= {told.get(name) or "" for name in ("href", "src")} - {""}


def links(directory: Path) -> Iterator[str]:
    """Complaints about links of these pages to what is not there, or to what is not on this machine."""
    pages = {path: _Page(path.read_text(encoding="utf-8")) for path in directory.rglob("*.html")}
    for path, page in pages.items():
        for link in sorted(page.links):
            if "://" in link or link.startswith(("data:", "mailto:")):
                continue
            target, _, place = link.partition("#")
            found = (path.parent / target).resolve() if target else path
            there = found in pages if found.suffix == ".html" else found.exists()
            if not there or (place and place not in pages[found].places):
                yield f"{path.relative_to(directory)}: {link} leads nowhere"
