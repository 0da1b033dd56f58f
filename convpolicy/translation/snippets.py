"""`Snippet`: the translated code of one layer, and the text that several of them make."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import attrs


@attrs.frozen
class Snippet:
    """The code of one layer.

    Args:
        name: name that the layer is assigned to; of a function that returns the layer, its name.
        imports: import statements.
        classes: source code of the classes that the layer needs.
        notes: comments, without the ``#``.
        layer: expression that builds the layer.
        statements: statements that follow it, such as its initialization.
        parameters: parameters of the function that returns the layer, or None if the layer is assigned to the name.
    """

    name: str
    imports: tuple[str, ...]
    classes: tuple[str, ...]
    notes: tuple[str, ...]
    layer: str
    statements: tuple[str, ...] = ()
    parameters: str | None = None

    @property
    def body(self) -> str:
        """The statements that build the layer; empty without a layer."""
        if self.parameters is not None:
            return self.function("    ")
        return "\n".join([f"{self.name} = {self.layer}", *self.statements]) if self.layer else ""

    def function(self, space: str, variable: str = "layer") -> str:
        """Return the function that returns the layer, with an indentation, and the name of the layer in its statements."""
        lines = (
            [f"{variable} = {self.layer}", *self.statements, f"return {variable}"]
            if self.statements
            else [f"return {self.layer}"]
        )
        body = textwrap.indent("\n".join(lines), space)
        return f"def {self.name}({self.parameters}):\n{body}"

    @property
    def code(self) -> str:
        """The complete code, ready to paste or execute."""
        return join([self])


def join(snippets: Sequence[Snippet], titles: Sequence[str] = ("",)) -> str:
    """Join snippets into one text: imports, classes and common comments, then each layer under its title."""
    imports = sorted({line for snippet in snippets for line in snippet.imports}, key=lambda line: (line.startswith("from"), line))
    classes = dict.fromkeys(text for snippet in snippets for text in snippet.classes)
    several = [snippet.notes for snippet in snippets if snippet.notes]
    common = [note for note in several[0] if all(note in notes for notes in several)] if len(several) > 1 else []
    layers = []
    for title, snippet in zip(titles, snippets):
        comments = [f"# {note}" for note in snippet.notes if note not in common]
        layers.append("\n".join(filter(None, [title, *comments, snippet.body])))
    above = "\n".join(f"# {note}" for note in common)
    return "\n\n".join(filter(None, ["\n".join(imports), *(f"\n{text.rstrip()}\n" for text in classes), above, *layers])) + "\n"
