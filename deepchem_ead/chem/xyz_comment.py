"""The comment line of an XYZ frame: a name, ``key=value`` pairs, or both."""

from __future__ import annotations

import re

from rdkit import Chem, rdBase

from deepchem_ead.chem.records import add_tag, is_derived, mark_name
from deepchem_ead.chem.values import plain, xyz_value

ID_KEY = "id"
PROPERTIES_KEY = "Properties"
#: Key for text that is neither a name nor a pair.
COMMENT_KEY = "comment"
_TAKEN = (ID_KEY, PROPERTIES_KEY)

# Possessive quantifiers ("++") keep the time proportional to the length.
_QUOTED = r'"(?:[^"\\]|\\.)*+"'
_KEY = re.compile(rf"({_QUOTED}|[^\s=\"',;]++)\s*+=")
_BLANK = re.compile(r"[\s,;]*+")
_WORD = re.compile(r"\S++")
_STRING = re.compile(rf"{_QUOTED}|'[^']*+'")
# A comma or semicolon belongs to a value unless it separates this pair from the next one.
_BARE = re.compile(r"(?:[^\s,;]|[,;](?!\s|$|[A-Za-z_]\w*+\s*+=))*+")
_NEXT_KEY = re.compile(r"\s++[A-Za-z_]\w*+\s*+=")
_EXTENDED = re.compile(rf"(?:^|\s){PROPERTIES_KEY}=")
# Pairs as :func:`format_comment` writes them for most molecules.
_PLAIN_PAIR = re.compile(r"""([A-Za-z_]\w*+)=(?:"([^"\\]*+)"|([^\s="'\\{}\[\](),;]++))(?:\s++|$)""")
_PLAIN_PAIRS = re.compile(rf"(?:{_PLAIN_PAIR.pattern})++")
_SAFE = re.compile(r"[^\s=\"'\\{}\[\](),;]+")
_FLAG = re.compile(r"[A-Za-z_]\w*")
_QUOTES = ('"', "'")
_OPENED = re.compile(r"=\s*+[\[({]")
_CLOSING = {"]": "[", "}": "{", ")": "("}
_SMILES = re.compile(r"[BCNOPSFIHKbcnopslraeit0-9@+\-\[\]()=#$:/\\%.*]+")
_ESCAPE = re.compile(r"\\(u[0-9a-f]{4}|[nr\"'\\])")
_LETTERS = {"n": "\n", "r": "\r"}
_SPECIAL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff\"\\]")
_ESCAPED = {"\n": "\\n", "\r": "\\r", '"': '\\"', "\\": "\\\\"}


def read_comment(comment: str) -> tuple[str, dict[str, str]]:
    """Name and tags of a comment line.

    In an extended-XYZ comment (one with ``Properties=``) everything is a pair or a flag. In others
    the text before the pairs is the name; SMILES and InChI are names, although they hold ``=``. If
    text follows a pair, too, the name is the whole line.

    Parameters
    ----------
    comment : str
        Without line end.

    Returns
    -------
    name : str
    tags : dict of str
        ``Properties`` among them if the comment has it.
    """
    comment = comment.strip()
    if "=" not in comment:
        return comment, {}
    if comment.startswith(f"{PROPERTIES_KEY}=") and _PLAIN_PAIRS.fullmatch(comment):
        # What the general way below would find, in a fraction of its time.
        pairs = _PLAIN_PAIR.findall(comment)
        tags = {key: quoted or bare for key, quoted, bare in pairs}
        if len(tags) == len(pairs):
            return tags.pop(ID_KEY, ""), tags
    extended = _EXTENDED.search(comment) is not None
    tags: dict[str, str] = {}
    words: list[str] = []
    first_pair = last_word = len(comment)
    brackets = _matching_brackets(comment) if _OPENED.search(comment) else {}
    at = 0
    while at < len(comment):
        key = _KEY.match(comment, at)
        if key and (extended or _is_key(key[1], comment, at)):
            first_pair = min(first_pair, at)
            value, end = _read_value(comment, key.end(), brackets)
            tag = _unquote(key[1])
            add_tag(tags, tag, value if tag in _TAKEN else plain(value))
        else:
            word = _WORD.match(comment, at)
            last_word, end = at, word.end()
            words.append(word[0])
        at = _BLANK.match(comment, end).end()
    name = tags.pop(ID_KEY, "")
    if not words:
        return name, tags
    text = comment[:first_pair].rstrip(" \t,;:") if last_word < first_pair else comment
    if extended:
        for word in words:
            add_tag(tags, *((word, "T") if _FLAG.fullmatch(word) else (COMMENT_KEY, word)))
    elif name:
        add_tag(tags, COMMENT_KEY, text)
    return name if name or extended else text, tags


def has_meaning(name: str) -> bool:
    """Whether a key of this name is no property."""
    return name in _TAKEN or is_derived(name)


def _is_key(key: str, comment: str, at: int) -> bool:
    """Whether the text before a ``=`` is a key, and no part of a SMILES, an InChI or an address."""
    if key[0] == '"':
        return True
    word = _WORD.match(comment, at)[0]
    rest = word[len(key) :]
    if word.startswith(("InChI=", "{", "[", "(")) or "://" in key:
        return False
    if len(rest) > 1 and not rest.strip("="):  # the end of base64 text
        return False
    if any(key.count(a) != key.count(b) for a, b in ("()", "[]", "{}")):
        return False
    return not (rest and len(word) < 1000 and _SMILES.fullmatch(word) and _is_smiles(word))


def _is_smiles(word: str) -> bool:
    with rdBase.BlockLogs():
        return Chem.MolFromSmiles(word, sanitize=False) is not None


def _matching_brackets(comment: str) -> dict[int, int]:
    """Position of the closing bracket for each opening one that has one."""
    found: dict[int, int] = {}
    stack: list[tuple[str, int]] = []
    for match in re.finditer(r"[\[\](){}]", comment):
        opening = _CLOSING.get(match[0])
        if opening is None:
            stack.append((match[0], match.start()))
        elif stack and stack[-1][0] == opening:
            found[stack.pop()[1]] = match.start()
    return found


def _read_value(comment: str, start: int, brackets: dict[int, int]) -> tuple[str, int]:
    """Value that begins at a position, blanks aside, and where it ends."""
    if comment[start : start + 1].isspace() and _NEXT_KEY.match(comment, start):
        return "", start
    while start < len(comment) and comment[start].isspace():
        start += 1
    if comment[start : start + 1] in _QUOTES and (string := _STRING.match(comment, start)):
        return _unquote(string[0]), string.end()
    if start in brackets:
        end = brackets[start] + 1
        text = comment[start:end]
        return (text[1:-1] if text[0] == "{" else text), end
    bare = _BARE.match(comment, start)
    return bare[0], bare.end()


def _unquote(text: str) -> str:
    if len(text) > 1 and text[0] == '"' == text[-1]:
        return _ESCAPE.sub(_unescaped, text[1:-1])
    return text[1:-1] if len(text) > 1 and text[0] == "'" == text[-1] else text


def _unescaped(match: re.Match[str]) -> str:
    code = match[1]
    return chr(int(code[1:], 16)) if len(code) > 1 else _LETTERS.get(code, code)


def _quote(text: str) -> str:
    if _SAFE.fullmatch(text) and text.isprintable():
        return text
    text = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return (
        '"' + re.sub(r"[\x00-\x1f\x7f\ud800-\udfff]", lambda m: f"\\u{ord(m[0]):04x}", text) + '"'
    )


def format_comment(columns: str, name: str, tags: dict[str, str]) -> str:
    """An extended-XYZ comment that :func:`read_comment` reads back.

    Parameters
    ----------
    columns : str
        Value of ``Properties``.
    name : str
        Written as the key ``id`` unless empty.
    tags : dict of str
    """
    pairs = [f"{PROPERTIES_KEY}={columns}"]
    if name:
        pairs.append(f"{ID_KEY}={_quote(name)}")
    pairs += [
        f"{_quote(mark_name(k, _TAKEN.__contains__))}={_quote(xyz_value(v))}"
        for k, v in tags.items()
    ]
    return " ".join(pairs)
