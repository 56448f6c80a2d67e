"""The reference: every public name of atomfit, from its docstring, and the written pages beside it.

    python -W error docs/reference --out site

`pdoc` does the work, and needs no network. A page is a package, in the order of its table of names; under
the name of each module stands the essay at its head, then what is public in it. Whatever is amiss
(`checks`) is told, and the exit code is 1.
"""

import argparse
import importlib
import inspect
import re
import shutil
import sys
import tomllib
from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path
from types import ModuleType

import checks
import pdoc.doc
import pdoc.render
import pdoc.render_helpers
import readable

HERE = Path(__file__).parent
DOCS = HERE.parent
#: Pages that are written by hand, with the titles of links to them.
PAGES = {
    "method": "How it works",
    "extend": "Parts of one's own",
    "files": "What it writes",
}


def floors() -> list[str]:
    """Packages of atomfit from the ground to the top floor, as the import contracts have them."""
    project = tomllib.loads((DOCS.parent / "pyproject.toml").read_text(encoding="utf-8"))
    (contract,) = project["tool"]["importlinter"]["contracts"]
    return [name.strip() for line in reversed(contract["layers"]) for name in line.split("|")]


def packages() -> dict[str, ModuleType]:
    """Packages with public names, with every name loaded."""
    names = ["atomfit", *(f"atomfit.{floor}" for floor in floors())]
    found = {name: importlib.import_module(name) for name in names}
    public = {name: module for name, module in found.items() if hasattr(module, "__all__")}
    for module in public.values():
        for name in module.__all__:
            getattr(module, name)
    return public


def essays(module: ModuleType) -> dict[str, tuple[str, str]]:
    """Of the first public name of each module of a package: the module, and the essay at its head."""
    told: dict[str, tuple[str, str]] = {}
    seen: set[str] = set()
    # atomfit itself picks names of its packages, where the essays are.
    homes = {} if module.__name__ == "atomfit" else module._homes
    for name, home in homes.items():
        if home not in seen:
            essay = inspect.getdoc(importlib.import_module(f"{module.__name__}.{home}")) or ""
            told[name] = (f"{module.__name__.removeprefix('atomfit.')}.{home}", essay)
        seen.add(home)
    return told


def homes(modules: Mapping[str, pdoc.doc.Module]) -> dict[tuple[str, str], str]:
    """Where public objects are defined (module, name), and the last of the packages that export them."""
    return {member.taken_from: name for name, module in modules.items() for member in module.own_members}


def page(text: str, essays: Collection[str]) -> tuple[str, str]:
    """A written page as HTML, and its contents.

    Links to other written pages are mended, those to the repository taken out; modules lead to essays.
    """
    text = re.sub(r"\]\((\w+)\.md(#[\w-]+)?\)", r"](\1.html\2)", text)
    text = re.sub(r"\[([^]]+)\]\(\.\./[^)]*\)", r"\1", text)
    html = pdoc.render_helpers.to_html(text)

    def linked(found: re.Match[str]) -> str:
        package = found[1].partition(".")[0]
        return (
            f'<a href="atomfit/{package}.html#{found[1]}">{found[0]}</a>'
            if found[1] in essays
            else found[0]
        )

    return re.sub(r"<code>([a-z_.]+)</code>", linked, html), html.toc_html


def build(out: Path) -> list[str]:
    """Write the reference to a directory, which is made anew; what is amiss."""
    public = packages()
    modules = {name: pdoc.doc.Module(module) for name, module in public.items()}
    texts = {f"{name}.md": (DOCS / f"{name}.md").read_text(encoding="utf-8") for name in PAGES}
    told = {name: essays(module) for name, module in public.items()}
    written = [essay for group in told.values() for essay in group.values()]
    texts |= dict(written)
    texts |= {member.fullname: member.docstring for one in modules.values() for member in _everything(one)}
    amiss = [*checks.documented(modules), *checks.names(texts, floors())]

    pdoc.render.configure(docformat="markdown", show_source=False, template_directory=HERE / "templates")
    environment = pdoc.render.env
    places = homes(modules)
    linked = {".".join(place) for place in places}
    environment.filters["format_signature"] = lambda given, colon: pdoc.render_helpers.format_signature(
        readable.signature(given, linked), colon
    )
    environment.filters["readable"] = lambda text: ": " + readable.annotation(text.lstrip(": "), linked)
    environment.globals.update(essays=told, pages=PAGES, homes=places, first=_first)

    if out.exists():
        shutil.rmtree(out)
    write = partial(_write, out)
    for name, module in modules.items():
        write(f"{name.replace('.', '/')}.html", pdoc.render.html_module(module, modules))
    for name, title in PAGES.items():
        text, contents = page(texts[f"{name}.md"], dict(written))
        held = environment.get_template("page.html.jinja2").render(
            title=title, text=text, contents=contents
        )
        write(f"{name}.html", held)
    write("index.html", pdoc.render.html_index(modules))
    write("search.js", pdoc.render.search_index(modules))
    return [*amiss, *checks.links(out)]


def _everything(module: pdoc.doc.Module) -> list[pdoc.doc.Doc]:
    classes = [one for one in module.own_members if isinstance(one, pdoc.doc.Class)]
    return [module, *module.own_members, *(inner for one in classes for inner in one.own_members)]


def _first(text: str) -> str:
    """The first sentence of a docstring."""
    return text.split("\n\n")[0].replace("\n", " ")


def _write(directory: Path, name: str, text: str) -> None:
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description="Build the reference from docstrings.")
    parser.add_argument("--out", type=Path, default=Path("site"), help="directory, which is made anew")
    out = parser.parse_args().out
    if out.exists() and not (out / "search.js").is_file():
        parser.error(f"{out} is there and is no reference")
    amiss = build(out)
    for complaint in amiss:
        print(complaint, file=sys.stderr)
    if not amiss:
        print(f"reference: {out / 'index.html'}")
    return 1 if amiss else 0


if __name__ == "__main__":
    sys.exit(main())
