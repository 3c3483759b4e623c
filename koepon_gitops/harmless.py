"""Foreign text made harmless: names and messages come out of a pull request and end in terminals and CI logs.

A character that does not print (escape sequences, line breaks, marks that turn the direction of writing) is shown as
its escape, and what GitHub's runner would take for a command (`::add-mask::` at the start of a line, `##[command]`
anywhere: ActionCommand.cs of actions/runner) gets a backslash that breaks it.
"""

import re


def exact(text: str) -> str:
    """One line in which every character of `text` can be seen: for paths, names and lines whose blanks matter."""
    if not text.isprintable():
        text = "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
    return _COMMAND.sub(lambda match: "\\::" if match[0] == "::" else "#\\#[", text)


_COMMAND = re.compile(r"(?<!\S)::|##\[")


def sentence(text: str) -> str:
    """One line of prose: runs of blanks and line breaks become one blank."""
    return exact(" ".join(text.split()))


def lines(text: str) -> str:
    """Several lines whose blanks matter, such as a diff; tabs are kept."""
    return "\n".join("\t".join(exact(part) for part in line.split("\t")) for line in text.split("\n"))
