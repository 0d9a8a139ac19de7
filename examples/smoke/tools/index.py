"""Indexes the Python sources of the git repository in the current folder.

usage: index.py FOLDER

FOLDER/definitions.tsv has a line for each class and function: kind, qualified name, parameters, file and line.
FOLDER/references.tsv has a line for each defined name: how often it is used, and in how many files.
The same sources give the same bytes: no times, no paths of this machine, all lines sorted.
"""

import ast
import collections
import os
import subprocess
import sys
import warnings


def sources():
    """The files that git knows or would add: what the key of the task covers, and nothing else."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", "*.py"],
        check=True,
        stdout=subprocess.PIPE,
    )
    paths = sorted(set(listed.stdout.split(b"\0")) - {b""})
    return [os.fsdecode(path) for path in paths if os.path.isfile(path)]


def read(tree, path, defined):
    """Adds (kind, qualified name, parameters, path, line) of what a module defines; counts the names it uses."""
    count = collections.Counter()
    waiting = [(tree, "")]
    while waiting:
        node, prefix = waiting.pop()
        if isinstance(node, ast.Name):
            count[node.id] += 1
        elif isinstance(node, ast.Attribute):
            count[node.attr] += 1
        elif isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            name = prefix + node.name
            if isinstance(node, ast.ClassDef):
                defined.append(("class", name, "", path, node.lineno))
            else:
                defined.append(("function", name, parameters(node.args), path, node.lineno))
            prefix = name + "."
        waiting.extend((child, prefix) for child in ast.iter_child_nodes(node))
    return count


def parameters(args):
    """The names of a function's parameters."""
    names = [arg.arg for arg in args.posonlyargs + args.args]
    names += ["*" + args.vararg.arg] if args.vararg else []
    names += [arg.arg + "=" for arg in args.kwonlyargs]
    names += ["**" + args.kwarg.arg] if args.kwarg else []
    return ", ".join(names)


def write(path, lines):
    with open(path, "w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
        file.writelines(lines)


def cell(value):
    """One cell of a table: tabs and line ends would start another."""
    return " ".join(str(value).split())


def main():
    warnings.simplefilter("ignore")
    folder = sys.argv[1]
    os.makedirs(folder, exist_ok=True)
    defined, total, files = [], collections.Counter(), collections.Counter()
    paths, broken = sources(), 0
    for path in paths:
        with open(path, "rb") as file:
            text = file.read()
        try:
            tree = ast.parse(text, path)
        except (SyntaxError, ValueError):
            # Trees hold broken files on purpose, as input of their tests.
            broken += 1
            continue
        count = read(tree, path, defined)
        total.update(count)
        files.update(count.keys())
    defined.sort()
    write(
        os.path.join(folder, "definitions.tsv"),
        ("\t".join(map(cell, row)) + "\n" for row in defined),
    )
    names = sorted({row[1].rpartition(".")[2] for row in defined})
    write(
        os.path.join(folder, "references.tsv"),
        (f"{name}\t{total[name]}\t{files[name]}\n" for name in names),
    )
    print(f"{len(defined)} definitions in {len(paths)} files, {broken} not parsed")


if __name__ == "__main__":
    main()
