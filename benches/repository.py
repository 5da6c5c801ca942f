#!/usr/bin/env python3
"""Builds a repository of many files with realistic names and nesting, the same each time.

    benches/repository.py DIRECTORY [--files N]

Other benchmarks import `build`. Files hold a few lines of text with words to search for, and every hundredth file is
ignored. Needs only Python and git.
"""
import argparse
import os
import pathlib
import random
import subprocess

WORDS = (
    "account action adapter agent alert array asset async audit auth backend badge batch billing binary block boundary branch "
    "bridge browser buffer builder bundle button cache calendar canvas catalog channel chart checkout client clock cluster codec "
    "collection column command commit compiler component config connection console container context controller cookie counter "
    "cursor database debug decoder default delta dialog diff directory dispatch document domain editor element encoder endpoint "
    "engine entity error event export factory feature fetch field filter folder font form format frame gateway graph grid group "
    "handler hash header history hook host icon image import index input inspector instance invoice item job journal kernel key "
    "label layer layout lexer library limit link list loader locale lock logger macro manager map marker menu merge message meta "
    "metric migration model module monitor network node notice object observer offset option order output package page panel "
    "parser patch path payload peer permission picker pipeline plugin policy pool popup prefix process profile project prompt "
    "protocol provider proxy query queue quota range reader record redirect registry release render report request resolver "
    "resource response result retry role route router rule runtime sample scanner schedule schema scope screen search section "
    "secret segment selector sender server service session setting shape shard signal sink size slot snapshot socket source "
    "stage state status step storage store stream string style subject summary switch symbol sync syntax table tag target task "
    "template terminal test theme thread ticket timer token tool topic trace tracker transform tree trigger tunnel type update "
    "upload user validator value vector version view volume watcher widget window worker workspace writer zone"
).split()
KINDS = (
    ("rs", ("src", "tests", "benches"), "{}_{}"),
    ("ts", ("src", "lib", "__tests__"), "{}-{}"),
    ("tsx", ("components", "pages", "views"), "{}{}"),
    ("py", ("app", "tests", "scripts"), "{}_{}"),
    ("go", ("internal", "cmd", "pkg"), "{}_{}"),
    ("java", ("src/main/java/org/example", "src/test/java/org/example"), "{}{}"),
    ("md", ("docs", "docs/guide", "docs/reference"), "{}-{}"),
    ("json", ("fixtures", "config"), "{}.{}"),
)
ENVIRONMENT = {**os.environ, "GIT_AUTHOR_DATE": "2024-01-01T00:00:00Z", "GIT_COMMITTER_DATE": "2024-01-01T00:00:00Z"}


def git(directory, *arguments):
    options = ["-c", "user.email=bench@example.invalid", "-c", "user.name=bench", "-c", "commit.gpgsign=false", "-c", "gc.auto=0"]
    subprocess.run(["git", *options, *arguments], cwd=directory, env=ENVIRONMENT, check=True, stdout=subprocess.DEVNULL)


def paths(files, seed=7):
    """This number of relative paths, each once."""
    choose = random.Random(seed)
    seen, directories = set(), []
    while len(seen) < files:
        kind, tops, pattern = choose.choice(KINDS)
        area = choose.choice(("packages", "services", "crates", "libraries", "tools"))
        package = f"{choose.choice(WORDS)}-{choose.choice(WORDS[:60])}"
        inner = [choose.choice(WORDS) for _ in range(choose.choice((0, 1, 1, 2, 2, 3)))]
        directory = "/".join([area, package, choose.choice(tops), *inner])
        for _ in range(choose.choice((3, 8, 15, 25, 40))):
            one, other = choose.choice(WORDS), choose.choice(WORDS)
            if pattern == "{}{}":
                one, other = one.capitalize(), other.capitalize()
            seen.add(f"{directory}/{pattern.format(one, other)}.{kind}")
            if len(seen) >= files:
                break
        directories.append(directory)
    return sorted(seen)


def build(root, files=100_000, commit=True):
    """Creates the repository unless it exists. Returns the paths of its files."""
    root = pathlib.Path(root)
    names = paths(files)
    if (root / ".git").exists() and (root / ".complete").exists():
        return names
    choose = random.Random(11)
    root.mkdir(parents=True, exist_ok=True)
    made = set()
    for number, name in enumerate(names):
        directory = os.path.dirname(name)
        if directory not in made:
            os.makedirs(root / directory, exist_ok=True)
            made.add(directory)
        lines = [f"{choose.choice(WORDS)} {choose.choice(WORDS)} {number}:{line}" for line in range(8)]
        if number % 997 == 0:
            lines.append("NEEDLE_IN_HAYSTACK")
        with open(root / name, "w") as file:
            file.write("\n".join(lines) + "\n")
    (root / ".gitignore").write_text("target/\nnode_modules/\n*.log\n*.tmp\n/dist/\n.env\n*.py[co]\n.DS_Store\n.complete\n")
    for number in range(files // 100):
        directory = root / "packages" / "node_modules" / f"module{number // 20}"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f"ignored{number}.js").write_text("ignored\n")
    git(root, "init", "-q", "-b", "main")
    if commit:
        git(root, "add", "-A")
        git(root, "commit", "-q", "-m", "first")
    (root / ".complete").write_text("")
    return names


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory")
    parser.add_argument("--files", type=int, default=100_000)
    arguments = parser.parse_args()
    names = build(arguments.directory, arguments.files)
    print(f"{len(names)} files in {len({os.path.dirname(name) for name in names})} directories below {arguments.directory}")


if __name__ == "__main__":
    main()
