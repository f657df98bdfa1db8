"""The rules of the house that a machine can check: who imports whom, sizes, first lines, idioms."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ["shm", "ingest", "engine", "executor", "desk", "sim"]
SOURCES = sorted(p for folder in FOLDERS for p in (ROOT / folder).glob("**/*.py"))
ALL = [*SOURCES, ROOT / "supervisor.py"]
COMPILED = sorted(p for folder in FOLDERS for p in (ROOT / folder).glob("**/*.pyx"))

MAY_IMPORT = {
    "shm": {"shm"},
    "ingest": {"shm", "ingest"},
    "engine": {"shm", "engine"},
    "executor": {"shm", "executor"},
    "desk": {"shm", "desk"},
    "sim": {"sim"},
    "supervisor.py": {"shm"},
}
SIM_MAY_IMPORT = {"shm.units", "shm.errors"}
COMPOSITION_ROOTS = {
    "desk/replay.py": {"ingest", "engine"},
    "desk/scan.py": {"engine"},
    "desk/scanning.py": {"engine"},
    "desk/explain.py": {"engine"},
}

HOT = {"ingest", "engine", "executor"}
HOT_NEVER = {"numpy", "aiohttp", "eth_account", "sqlalchemy", "orjson", "rich", "click"}
NOT_LOADED = HOT_NEVER | {"tomllib", "difflib"}
"""Nor may it come along with something else: each costs memory in every stage."""
ONLY_HERE = {
    "picows": {"ingest/picows_link.py"},
    "posix_ipc": {"shm/segment.py"},
    "coincurve": {"executor/curve.py"},
    "sha3": {"executor/keccak.py"},
    "httptools": {"executor/http.py"},
    "websockets": {"shm/direct.py", "executor/user.py", "ingest/websockets_link.py"},
    "eth_account": {"sim/ethereum.py"},
    "textual": {"shm/screen.py"},
    "uvloop": {"shm/stage.py"},
    "supervisor": set(),
}

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
TABLES_OF_DATA = {"shm/layout.py"}
"""Files that are one long description may be longer."""
POSITIONAL_MAX = 5
BANNED_NAMES = re.compile(
    r"(^|_)(manager|helper|helpers|util|utils|common|service)(_|$|\.)", re.IGNORECASE
)

FORBIDDEN_STORES = [
    (re.compile(r"\bpack_into\("), "struct.pack_into zeroes before it writes"),
    (re.compile(r"\bshared_memory\b"), "multiprocessing.shared_memory unlinks at any exit"),
    (re.compile(r"\brecarray\b"), "record arrays are slow and tear"),
    (re.compile(r"\]\s*\[\s*['\"]\w+['\"]\s*\]\s*=[^=]"), "row-then-field stores tear"),
    (re.compile(r"ftruncate\("), "sparse segments kill whoever touches them"),
]
FORBIDDEN_EVERYWHERE = [
    (re.compile(r"verify\s*=\s*False"), "TLS is verified"),
    (re.compile(r"shell\s*=\s*True"), "no shell"),
    (re.compile(r"\bpickle\.(load|loads)\b"), "no pickle"),
    (re.compile(r"(?<![\w.])eval\(|(?<![\w.])exec\("), "no eval"),
    (re.compile(r"\bTO" + r"DO\b|\bFIX" + r"ME\b|\bXXX\b"), "finish it, or write an issue"),
    (re.compile(r"except[^:]*:\s*(#.*)?\n\s*pass\b"), "say what is expected with suppress()"),
]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def folder_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0]


def imports_of(tree: ast.AST) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "absolute imports only"
            assert node.module
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def import_trouble(name: str, imports: set[str]) -> list[str]:
    """What a file imports and may not."""
    folder = name.split("/", maxsplit=1)[0]
    allowed = MAY_IMPORT[folder] | COMPOSITION_ROOTS.get(name, set())
    tops = {module.split(".")[0] for module in imports}
    trouble = []
    for top in tops & set(FOLDERS):
        if folder == "sim" and top == "shm":
            modules = {m for m in imports if m.split(".")[0] == "shm" and m != "shm"}
            if not all(
                any(m == s or m.startswith(s + ".") for s in SIM_MAY_IMPORT) for m in modules
            ):
                trouble.append(f"{name} imports {sorted(modules)}")
        elif top not in allowed:
            trouble.append(f"{name} imports {top}")
    if folder in HOT:
        trouble += [f"{name} imports {top}" for top in tops & HOT_NEVER]
    trouble += [
        f"{name} imports {top}"
        for top, homes in ONLY_HERE.items()
        if top in tops and name not in homes and folder != "sim"
    ]
    return trouble


@pytest.mark.parametrize("path", ALL, ids=name_of)
def test_imports_go_in_the_allowed_direction(path):
    assert not import_trouble(name_of(path), imports_of(ast.parse(path.read_text())))


@pytest.mark.parametrize("stage", sorted(HOT))
def test_a_hot_stage_loads_nothing_that_only_others_need(stage):
    text = f"import sys; import {stage}.__main__; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, check=True
    )
    assert not NOT_LOADED & set(loaded.stdout.split())


@pytest.mark.parametrize(
    ("name", "imports"),
    [
        ("engine/pricer.py", {"executor.gate"}),
        ("shm/fabric.py", {"ingest.books"}),
        ("desk/run.py", {"engine.pricer"}),
        ("sim/book.py", {"shm.fees"}),
        ("sim/book.py", {"executor.signing"}),
        ("ingest/feed.py", {"numpy"}),
        ("executor/executor.py", {"coincurve"}),
        ("supervisor.py", {"desk.run"}),
        ("shm/stage.py", {"supervisor"}),
    ],
)
def test_a_planted_wrong_import_is_caught(name, imports):
    assert import_trouble(name, imports)


@pytest.mark.parametrize("path", [*ALL, *COMPILED], ids=name_of)
def test_every_module_says_in_its_first_line_what_it_owns(path):
    text = path.read_text()
    text = "\n".join(line for line in text.splitlines() if not line.startswith("# cython:"))
    if path.suffix == ".pyx":
        first = text.lstrip().splitlines()[0].strip('"')
    else:
        docstring = ast.get_docstring(ast.parse(text))
        assert docstring, "no docstring"
        first = docstring.splitlines()[0]
    assert len(first) > 20, first


@pytest.mark.parametrize("path", ALL, ids=name_of)
def test_public_things_have_docstrings(path):
    tree = ast.parse(path.read_text())
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            private = node.name.startswith("_")
            assert private or ast.get_docstring(node), f"{name_of(path)}: {node.name}"


@pytest.mark.parametrize("path", [*ALL, *COMPILED], ids=name_of)
def test_files_have_a_size_that_one_can_hold_in_the_head(path):
    lines = len(path.read_text().splitlines())
    assert lines <= FILE_LINES_MAX or name_of(path) in TABLES_OF_DATA, lines


@pytest.mark.parametrize("path", ALL, ids=name_of)
def test_functions_are_short_and_take_few_positional_arguments(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        length = (node.end_lineno or 0) - node.lineno + 1
        assert length <= FUNCTION_LINES_MAX, f"{node.name} has {length} lines"
        names = [a.arg for a in node.args.posonlyargs + node.args.args]
        own = [name for name in names if name not in {"self", "cls"}]
        assert len(own) <= POSITIONAL_MAX, f"{node.name}({', '.join(own)})"


@pytest.mark.parametrize("path", ALL, ids=name_of)
def test_names_say_what_things_are(path):
    assert not BANNED_NAMES.search(path.name)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", node.name)
            assert not BANNED_NAMES.search(words), node.name


@pytest.mark.parametrize("path", [*ALL, *COMPILED], ids=name_of)
def test_no_forbidden_idiom_is_used(path):
    text = path.read_text()
    rules = FORBIDDEN_EVERYWHERE + (FORBIDDEN_STORES if folder_of(path) != "sim" else [])
    for pattern, why in rules:
        found = pattern.search(_without_docstrings(text))
        assert not found, f"{name_of(path)}: {found.group() if found else ''}: {why}"


@pytest.mark.parametrize(
    "line",
    [
        "struct.pack_into('<Q', view, 0, 1)",
        "rows[3]['price'] = 5",
        "from multiprocessing import shared_memory",
        "os.ftruncate(fd, 10)",
        "try:\n    x()\nexcept OSError:\n    pass",
        "requests.get(url, verify=False)",
    ],
)
def test_a_planted_forbidden_idiom_is_caught(line):
    rules = FORBIDDEN_EVERYWHERE + FORBIDDEN_STORES
    assert any(pattern.search(line) for pattern, _ in rules)


REMOVES_SEGMENTS = re.compile(
    r"\bunlink_shared_memory\b|\bdestroy(_all|_unused)?\b|\bremove_leftovers\b|/dev/shm"
)


@pytest.mark.parametrize("path", [*ALL, *COMPILED], ids=name_of)
def test_no_stage_removes_a_segment(path):
    if folder_of(path) in {"ingest", "engine", "executor"}:
        found = REMOVES_SEGMENTS.search(_without_docstrings(path.read_text()))
        assert not found, f"{name_of(path)}: {found.group() if found else ''}: they outlive stages"


@pytest.mark.parametrize(
    "line",
    ["destroy_all(instance)", "from shm.segment import destroy", "Path('/dev/shm', n).unlink()"],
)
def test_a_planted_removal_is_caught(line):
    assert REMOVES_SEGMENTS.search(line)


def _without_docstrings(text: str) -> str:
    """Source without triple-quoted texts and comments: they may name what they warn of."""
    text = re.sub(r'"""(?:.|\n)*?"""', '""', text)
    return re.sub(r"(?m)(?<!noqa)#(?! type:).*$", "", text)


def test_nothing_here_names_an_address_or_a_path_of_some_machine():
    pattern = re.compile(r"(/home/|/root/|/work/|pypi\.org|pythonhosted|npmjs)")
    for path in [*ALL, *COMPILED, *ROOT.glob("*.md"), *ROOT.glob("docs/*.md"),
                 *ROOT.glob("deploy/*"), ROOT / "Makefile", ROOT / "pyproject.toml"]:  # fmt: skip
        if path.is_file():
            assert not pattern.search(path.read_text()), name_of(path)


NAMED = re.compile(
    r"\b(?:tests|shm|ingest|engine|executor|desk|sim|docs)/[\w/.-]*\w\.(?:pyx?|h|c|md|json|svg)\b"
)


def missing(text: str) -> set[str]:
    """Files of this project that a text names and that are not there."""
    return {name for name in NAMED.findall(text) if not (ROOT / name).is_file()}


def test_every_file_that_a_text_names_is_there():
    headers = [path for folder in FOLDERS for path in (ROOT / folder).glob("*.h")]
    for path in [*ALL, *COMPILED, *headers, *ROOT.glob("*.md"), *ROOT.glob("docs/*.md"),
                 *ROOT.glob("tests/**/*.py")]:  # fmt: skip
        found = missing(path.read_text()) - {"tests/gone.py"}
        assert not found, f"{name_of(path)} names {', '.join(sorted(found))}"


def test_a_planted_name_of_nothing_is_caught():
    assert missing("see tests/gone.py and shm/layout.py.") == {"tests/gone.py"}


def test_supervisords_exit_codes_are_those_of_the_error_tree():
    from shm.errors import EXIT_CODES_FINAL

    text = (ROOT / "deploy" / "supervisord.conf").read_text()
    listed = {tuple(map(int, codes.split(","))) for codes in re.findall(r"exitcodes=(.+)", text)}
    assert listed == {EXIT_CODES_FINAL}


def test_supervisord_opens_no_port():
    text = (ROOT / "deploy" / "supervisord.conf").read_text()
    assert "inet_http_server" not in text
    assert "chmod=0700" in text
