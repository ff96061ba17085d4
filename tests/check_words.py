"""make words: find words that words.txt bans, in names, prose and messages.

`python -m tests.check_words` lists them and fails; `--counts` counts those that are still
allowed (below "# later" in words.txt), by folder.
"""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
WORDS = ROOT / "words.txt"
CHECKED = ("*.py", "*.md", "deploy", "docs", ".env.example", "Makefile", "*.toml")
# History keeps the words that it was written in; JSON of tools is not ours.
EXEMPT = re.compile(
    r"migrations/versions/|^CHANGELOG\.md|devnet/artifacts/|check_words\.py|renamed\w*\.py|\.json$"
)


def read(path: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Return the banned words and those to be banned later, each with what to write instead."""
    now, _, later = path.read_text().partition("# later")
    return tuple(
        dict(re.split(r"\s*->\s*", line) for line in part.splitlines() if "->" in line)
        for part in (now, later)
    )


def pattern(words: dict[str, str]) -> re.Pattern[str]:
    """Match a word alone, and as a part of a snake_case or CamelCase name."""
    parts = [
        rf"(?<![A-Za-z])(?:{w}(?![a-z])|{w.upper()}(?![A-Za-z]))|(?<![A-Z]){w.capitalize()}(?![a-z])"
        if w.isalpha()
        else rf"\b{w.replace(' ', '[ _]')}\b"
        for w in (word.strip() for word in words)
    ]
    return re.compile("|".join(parts) or r"(?!)")


def files() -> list[str]:
    """List what is checked."""
    listed = subprocess.run(
        ["git", "ls-files", "--", *CHECKED, ":!*.png"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    found = [path for path in listed.stdout.splitlines() if not EXEMPT.search(path)]
    return [path for path in found if (ROOT / path).is_file()]


def main(arguments: list[str]) -> int:
    """Check, or count; return the exit code."""
    now, later = read(WORDS)
    banned = pattern(later if arguments == ["--counts"] else now)
    counts: Counter[tuple[str, str]] = Counter()
    for path in files():
        for number, line in enumerate((ROOT / path).read_text().splitlines(), 1):
            for match in banned.finditer(line):
                word = match[0].lower().replace("_", " ")
                counts["/".join(path.split("/")[:2]), word] += 1
                if arguments != ["--counts"]:
                    print(f"{path}:{number}: {match[0]}: write {now.get(word, 'another word')}")
    if arguments == ["--counts"]:
        for (room, word), count in sorted(counts.items()):
            print(f"{room}\t{word}\t{count}")
        return 0
    return 1 if counts else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
