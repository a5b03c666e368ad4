#!/usr/bin/env bash
# Lists sentences that read as if translated: six patterns, by regular expression, in the comments and strings of
# Sources/**/*.swift, in README.md and in the DocC articles. Prints the place of each and a count per pattern.
# A place to look, not a verdict: the exit status is always 0.
#
# usage: CI/language.sh [DIRECTORY]    another working copy of the package; this one by default
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/support.sh"
needs python3
cd "${1:-$here/..}"
exec python3 - <<'PYTHON'
import glob, re

# The first one needs the start of a clause, because "the child who" and "know what" are fine.
PATTERNS = {
    "headless relative clause":
        r"(?:^|[.:;,(] |\b(?:and|but|of|for|with|by|than|in|to|is) )(?:who|what)(?:ever)? "
        r"(?!(?:is|are|does|do|to|if|about) (?:the|a|it|you)\b)[^?]*?(?=[.;:,)]|$)",
    "where for if or when":
        r"(?<!place )(?<!folder )(?<!directory )(?<!line )\bwhere "
        r"(?:there|no|nothing|not|its?|that|this|they|the|an?|one|all|both|any|children|you|s?he|such|several)\b",
    "personified pronoun": r"\b(?:nobody|somebody|whoever|anybody|everybody|no one|someone)\b",
    "is to + verb": r"\b(?:is|are|was|were) (?:not )?to (?!the\b|an?\b|this\b|that\b|its?\b)(?-i:[a-z]+)\b",
    "at most so long, that long": r"\bat most so\b|\bfor at most\b|\b(?:so|that) long\b(?! as)",
    "facts chained by colons and semicolons": r"[^.?!:;]*[:;] [^.?!:;]*(?:[:;] [^.?!:;]*)+",
}
# A comment, a multi-line string, or a string.
INTERPOLATION = r'\\\((?:[^()"]|\([^()]*\)|"[^"]*")*\)'
SWIFT = re.compile(
    r'//+ ?(?P<comment>[^\n]*)|"""(?P<block>.*?)"""|"(?P<string>(?:' + INTERPOLATION + r'|\\.|[^"\\\n])*)"', re.DOTALL)


def swift_texts(source):
    """Paragraphs of comments, and strings, each as a list of (line number, text)."""
    texts, comment, last = [], [], None
    for match in SWIFT.finditer(source):
        line = source.count("\n", 0, match.start()) + 1
        if match["comment"] is None:
            text = match["block"] if match["block"] is not None else match["string"]
            text = re.sub(INTERPOLATION, "N", text).replace("\\n", " ")
            texts.append([(line + offset, part) for offset, part in enumerate(text.split("\n"))])
            continue
        # A comment continues on the next line. A blank line ends a paragraph, and a list item begins one.
        words = match["comment"].strip()
        if last is None or line != last + 1 or not words or words.startswith("- "):
            texts.append(comment := [])
        last = line
        comment.append((line, words))
    return texts


def markdown_texts(source):
    """Paragraphs, list items and table cells outside listings, each as a list of (line number, text)."""
    texts, paragraph, fenced, blank = [], [], False, True
    for number, line in enumerate(source.split("\n"), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
            paragraph, blank = [], True
        elif fenced or not line.strip() or (blank and line.startswith("    ")) or line.startswith("#"):
            paragraph, blank = [], not line.strip() or blank
        elif line.startswith("|"):
            texts += [[(number, cell)] for cell in line.strip("|").split("|")]
        else:
            if not paragraph or re.match(r"\s*(?:[-*]|\d+\.) ", line):
                texts.append(paragraph := [])
            paragraph.append((number, line))
            blank = False
    return texts


def plain(text):
    """Without code, links and emphasis."""
    text = re.sub(r"``[^`]*``|`[^`]*`", "N", text)
    text = re.sub(r"<doc:[^>]*>|https?://\S+", "N", text)
    return re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text).replace("*", "")


counts = dict.fromkeys(PATTERNS, 0)
paths = ["README.md", *sorted(glob.glob("Sources/**/*.docc/*.md", recursive=True))]
paths += sorted(glob.glob("Sources/**/*.swift", recursive=True))
for path in paths:
    with open(path, encoding="utf-8") as file:
        source = file.read()
    for text in (swift_texts if path.endswith(".swift") else markdown_texts)(source):
        # One line, and where each of its parts begins.
        joined, starts = "", []
        for number, part in text:
            starts.append((len(joined), number))
            joined += plain(part).strip() + " "
        for name, pattern in PATTERNS.items():
            for match in re.finditer(pattern, joined, re.IGNORECASE):
                counts[name] += 1
                number = max(start for start in starts if start[0] <= match.start())[1]
                print(f"{path}:{number}: {name}: {joined[match.start():][:80].strip()}")
print()
for name, count in counts.items():
    print(f"{count:5}  {name}")
print(f"{sum(counts.values()):5}  in total, {len(paths)} files")
PYTHON
