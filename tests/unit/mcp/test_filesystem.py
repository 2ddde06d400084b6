"""The tools of the filesystem server: what they do, and that no path leads out."""

import base64
import os
import resource
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.mcp_gateway.limits import (
    FILE_MAX_BYTES,
    FILE_NAME_MAX_BYTES,
    FILE_OFFSET_MAX,
    FILE_PATH_DEPTH_MAX,
    FILE_READ_MAX_BYTES,
    FILE_SEARCH_FILE_MAX_BYTES,
    RESULT_MAX_BYTES,
)
from services.mcp_gateway.servers.base import ToolServer
from services.mcp_gateway.servers.filesystem.beneath import Root
from services.mcp_gateway.servers.filesystem.search import Pattern
from services.mcp_gateway.servers.filesystem.server import filesystem_server
from services.mcp_gateway.servers.tools import ToolOutput, ToolRefused

SECRET = "from outside"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret.txt").write_text(SECRET)
    return folder


@pytest.fixture
def root(tmp_path: Path, outside: Path) -> Path:
    root = tmp_path / "root"
    (root / "notes" / "old").mkdir(parents=True)
    (root / "a.txt").write_text("inside")
    (root / "notes" / "b.txt").write_text("one\ntwo needle\n")
    (root / "notes" / "old" / "c.md").write_text("needle")
    (root / "out.txt").symlink_to(outside / "secret.txt")
    (root / "out").symlink_to(outside)
    (root / "up").symlink_to("../outside")
    (root / "in.txt").symlink_to("notes/b.txt")
    (root / "deep").symlink_to("notes/old")
    (root / "circle1").symlink_to("circle2")
    (root / "circle2").symlink_to("circle1")
    (root / "dangling").symlink_to(outside / "new.txt")
    os.mkfifo(root / "fifo")
    (tmp_path / "root_beside").mkdir()
    (tmp_path / "root_beside" / "secret.txt").write_text(SECRET)
    return root


@pytest.fixture
def server(root: Path) -> Iterator[ToolServer]:
    opened = Root(str(root))
    yield filesystem_server(opened)
    opened.close()


def call(server: ToolServer, name: str, **arguments: Any) -> Any:
    tool = server.tools[name]
    result = tool.call(tool.arguments(msgspec.Raw(msgspec.json.encode(arguments))))
    return result.structured if isinstance(result, ToolOutput) else msgspec.to_builtins(result)


def refused(server: ToolServer, name: str, **arguments: Any) -> str:
    with pytest.raises(ToolRefused) as caught:
        call(server, name, **arguments)
    assert SECRET not in caught.value.message
    return caught.value.code


def test_it_offers_seven_tools_with_schemas(server: ToolServer) -> None:
    assert list(server.tools) == [
        "read_file",
        "write_file",
        "list_directory",
        "create_directory",
        "delete_file",
        "search_files",
        "get_file_info",
    ]
    assert all(tool.output_schema is not None and tool.hints is not None for tool in server.tools.values())


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("a.txt", "inside"),
        ("./a.txt", "inside"),
        ("notes//b.txt", "one\ntwo needle\n"),
        ("notes/../a.txt", "inside"),
        ("in.txt", "one\ntwo needle\n"),
        ("deep/c.md", "needle"),
        ("deep/../b.txt", "one\ntwo needle\n"),
    ],
)
def test_a_path_inside_is_read(server: ToolServer, path: str, content: str) -> None:
    assert call(server, "read_file", path=path)["content"] == content


def test_a_path_that_begins_with_the_root_is_one_inside(server: ToolServer, root: Path) -> None:
    assert call(server, "read_file", path=f"{root}/a.txt")["content"] == "inside"
    assert call(server, "list_directory", path=str(root))["entries"]


WAYS_OUT = [
    "../outside/secret.txt",
    "../outside/nothing.txt",
    "notes/../../outside/secret.txt",
    "/etc/passwd",
    "/proc/self/environ",
    "/dev/stdin",
    "out.txt",
    "out/secret.txt",
    "out/nothing.txt",
    "up/secret.txt",
    "dangling",
    "..",
]


@pytest.mark.parametrize("path", WAYS_OUT)
def test_no_path_leads_out_and_none_tells_what_is_there(server: ToolServer, path: str) -> None:
    messages = set()
    for name in ("read_file", "get_file_info", "list_directory", "create_directory"):
        with pytest.raises(ToolRefused) as caught:
            call(server, name, path=path)
        messages.add((caught.value.code, caught.value.message))
    with pytest.raises(ToolRefused) as caught:
        call(server, "search_files", path=path, pattern="*")
    messages.add((caught.value.code, caught.value.message))
    assert [code for code, _ in messages] == ["outside_root"]


def test_a_folder_whose_name_begins_like_the_root_is_outside(server: ToolServer, root: Path) -> None:
    assert refused(server, "read_file", path=f"{root}_beside/secret.txt") == "outside_root"
    assert refused(server, "write_file", path=f"{root}_beside/new.txt", content="x") == "outside_root"


@pytest.mark.parametrize("path", ["../new.txt", "out/new.txt", "up/new.txt", "nothing/../../new.txt", "/tmp/new.txt"])
def test_nothing_is_written_outside(server: ToolServer, outside: Path, path: str) -> None:
    assert refused(server, "write_file", path=path, content="x") in {"outside_root", "not_found"}
    assert [entry.name for entry in outside.iterdir()] == ["secret.txt"]


@pytest.mark.parametrize("path", ["out.txt", "dangling", "in.txt", "notes", "fifo", "."])
def test_only_regular_files_are_written_over(server: ToolServer, root: Path, outside: Path, path: str) -> None:
    assert refused(server, "write_file", path=path, content="x") in {"not_a_file", "is_a_folder"}
    assert (outside / "secret.txt").read_text() == SECRET
    assert not (outside / "new.txt").exists()
    assert (root / "in.txt").is_symlink()


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("", "path_invalid"),
        ("..\\outside\\secret.txt", "path_invalid"),
        ("a\x00.txt", "path_invalid"),
        ("a\n.txt", "path_invalid"),
        ("x" * (FILE_NAME_MAX_BYTES + 1), "path_invalid"),
        ("é" * 128, "path_invalid"),
        ("a/" * 3_000, "path_invalid"),
        ("circle1", "path_invalid"),
        ("%2e%2e/outside/secret.txt", "not_found"),
        ("file:///etc/passwd", "not_found"),
        ("~/secret.txt", "not_found"),
        ("nothing.txt", "not_found"),
        ("a.txt/", "not_a_folder"),
        ("a.txt/b", "not_a_folder"),
        ("notes", "is_a_folder"),
        ("fifo", "not_a_file"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(server: ToolServer, path: str, code: str) -> None:
    assert refused(server, "read_file", path=path) == code


def test_a_surrogate_is_no_text_of_json(server: ToolServer) -> None:
    with pytest.raises(ToolRefused):
        server.tools["read_file"].arguments(msgspec.Raw(b'{"path": "\\ud800"}'))


def test_bytes_and_parts_of_a_file(server: ToolServer, root: Path) -> None:
    (root / "bytes").write_bytes(b"caf\xe9 \xff")
    assert refused(server, "read_file", path="bytes") == "not_text"
    whole = call(server, "read_file", path="bytes", encoding="base64")
    assert base64.b64decode(whole["content"]) == b"caf\xe9 \xff"
    part = call(server, "read_file", path="a.txt", offset=2, length=3)
    assert part == {"content": "sid", "encoding": "utf-8", "size": 6, "end": 5}
    assert call(server, "read_file", path="a.txt", offset=99)["content"] == ""


def test_a_file_above_the_bound_is_read_in_parts_alone(server: ToolServer, root: Path) -> None:
    with (root / "big").open("wb") as file:
        file.truncate(1 << 34)  # takes no room on the disk
    assert refused(server, "read_file", path="big") == "too_large"
    part = call(server, "read_file", path="big", offset=(1 << 34) - 2, length=10)
    assert (part["content"], part["end"]) == ("\0\0", 1 << 34)
    assert call(server, "read_file", path="big", offset=FILE_OFFSET_MAX)["content"] == ""
    assert refused(server, "read_file", path="big", offset=FILE_OFFSET_MAX + 1) == "arguments_invalid"


def test_text_is_read_in_parts_that_end_with_a_character(server: ToolServer, root: Path) -> None:
    (root / "u.txt").write_text("aé€🙂" * 50)
    read, at = "", 0
    while at < (root / "u.txt").stat().st_size:
        part = call(server, "read_file", path="u.txt", offset=at, length=7)
        read, at = read + part["content"], part["end"]
    assert read == "aé€🙂" * 50
    assert refused(server, "read_file", path="u.txt", offset=2) == "not_text"
    (root / "cut.txt").write_bytes("a€".encode()[:-1])
    assert refused(server, "read_file", path="cut.txt") == "not_text"


def test_no_answer_is_larger_than_the_gateway_passes_on(server: ToolServer, root: Path) -> None:
    (root / "zeros").write_bytes(bytes(FILE_READ_MAX_BYTES))
    assert refused(server, "read_file", path="zeros") == "too_large"
    (root / "whole").write_text("é" * (FILE_READ_MAX_BYTES // 2))
    assert len(call(server, "read_file", path="whole")["content"]) == FILE_READ_MAX_BYTES // 2
    for number in range(80):
        (root / f"hit{number}").write_text(('"needle' * 60 + "\n") * 20)
    result = call(server, "search_files", pattern="hit*", text="needle")
    assert result["stopped_by"] == "size"
    as_text = msgspec.json.encode(result).decode()
    assert len(msgspec.json.encode([as_text, result])) < RESULT_MAX_BYTES


@pytest.mark.parametrize(("more", "accepted"), [(0, True), (1, False)])
def test_what_is_written_is_bounded_in_bytes(server: ToolServer, more: int, accepted: bool) -> None:
    content = "é" * (FILE_MAX_BYTES // 2) + "x" * more
    if accepted:
        assert call(server, "write_file", path="w", content=content) == {"size": FILE_MAX_BYTES, "created": True}
    else:
        assert refused(server, "write_file", path="w", content=content) == "too_large"


def test_writing_replaces_as_a_whole_and_keeps_the_mode(server: ToolServer, root: Path) -> None:
    (root / "a.txt").chmod(0o600)
    with (root / "a.txt").open() as before:
        assert call(server, "write_file", path="a.txt", content="new") == {"size": 3, "created": False}
        assert before.read() == "inside"
    assert (root / "a.txt").read_text() == "new"
    assert (root / "a.txt").stat().st_mode & 0o777 == 0o600
    assert not [entry for entry in root.iterdir() if entry.name.endswith(".part")]


def test_a_file_is_not_written_over_when_that_is_not_wanted(server: ToolServer, root: Path) -> None:
    assert refused(server, "write_file", path="a.txt", content="x", overwrite=False) == "already_exists"
    assert call(server, "write_file", path="n.txt", content="x", overwrite=False)["created"] is True
    assert (root / "a.txt").read_text() == "inside"
    assert not [entry for entry in root.iterdir() if entry.name.endswith(".part")]


def test_one_of_many_writers_makes_a_file(server: ToolServer, root: Path) -> None:
    made: list[int] = []
    said: list[str] = []

    def make(number: int) -> None:
        try:
            call(server, "write_file", path="once", content=str(number), overwrite=False)
            made.append(number)
        except ToolRefused as error:
            said.append(error.code)

    threads = [threading.Thread(target=make, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [(root / "once").read_text()] == [str(number) for number in made]
    assert said == ["already_exists"] * 15


def test_base64_that_is_none_is_refused(server: ToolServer) -> None:
    assert refused(server, "write_file", path="x", content="é!", encoding="base64") == "not_base64"
    assert call(server, "write_file", path="x", content="AAEC", encoding="base64")["size"] == 3


def test_folders_are_made_with_those_above(server: ToolServer, root: Path) -> None:
    assert call(server, "create_directory", path="x/y/z") == {"created": True}
    assert call(server, "create_directory", path="x/y/z/") == {"created": False}
    assert (root / "x/y/z").is_dir()
    assert refused(server, "create_directory", path="a.txt") == "already_exists"
    assert refused(server, "create_directory", path="a.txt/b") == "not_a_folder"
    assert refused(server, "create_directory", path="d/" * (FILE_PATH_DEPTH_MAX + 1)) == "path_invalid"


def test_deleting(server: ToolServer, root: Path, outside: Path) -> None:
    assert call(server, "delete_file", path="a.txt") == {"deleted": True}
    assert refused(server, "delete_file", path="a.txt") == "not_found"
    assert refused(server, "delete_file", path="notes") == "is_a_folder"
    assert refused(server, "delete_file", path="notes", directory=True) == "folder_not_empty"
    assert refused(server, "delete_file", path="in.txt", directory=True) == "not_a_folder"
    call(server, "create_directory", path="empty")
    assert call(server, "delete_file", path="empty", directory=True) == {"deleted": True}
    call(server, "delete_file", path="out.txt")
    assert not (root / "out.txt").is_symlink()
    assert (outside / "secret.txt").read_text() == SECRET


@pytest.mark.parametrize(
    "path", ["", "a\0b", "a\\b", "/", ".", "./", "notes/..", "..", "../outside/secret.txt", "out/secret.txt"]
)
def test_neither_the_root_nor_what_is_outside_is_deleted(
    server: ToolServer, root: Path, outside: Path, path: str
) -> None:
    assert refused(server, "delete_file", path=path) in {"path_invalid", "outside_root"}
    assert root.is_dir()
    assert (outside / "secret.txt").exists()


def test_listing_in_pages_tells_of_links_only_that_they_are(server: ToolServer, root: Path) -> None:
    first = call(server, "list_directory", limit=4)
    rest = call(server, "list_directory", after=first["next_after"])
    names = [entry["name"] for entry in first["entries"] + rest["entries"]]
    assert names == sorted(entry.name for entry in root.iterdir())
    assert rest["next_after"] is None
    kinds = {entry["name"]: (entry["type"], entry["size"]) for entry in first["entries"] + rest["entries"]}
    assert kinds["out.txt"] == ("link", 0)
    assert (kinds["a.txt"], kinds["notes"], kinds["fifo"]) == (("file", 6), ("folder", 0), ("other", 0))


def test_a_name_that_is_no_text_is_shown_and_harms_nobody(server: ToolServer, root: Path) -> None:
    (Path(os.fsdecode(os.fsencode(root) + b"/caf\xe9"))).write_text("x")
    names = [entry["name"] for entry in call(server, "list_directory")["entries"]]
    assert "caf\\xe9" in names
    assert len(call(server, "search_files", pattern="caf*")["matches"]) == 1


def test_info(server: ToolServer) -> None:
    info = call(server, "get_file_info", path="notes/b.txt")
    assert (info["name"], info["type"], info["size"]) == ("b.txt", "file", 15)
    assert call(server, "get_file_info", path="notes/")["type"] == "folder"
    assert refused(server, "get_file_info", path="nothing") == "not_found"


def found(server: ToolServer, **arguments: Any) -> list[str]:
    result = call(server, "search_files", **arguments)
    assert result["stopped_by"] is None
    return [match["path"] for match in result["matches"]]


def test_searching_by_name_and_by_text(server: ToolServer) -> None:
    assert found(server, pattern="*.md") == ["notes/old/c.md"]
    assert found(server, pattern="notes/*") == ["notes/b.txt", "notes/old"]
    assert found(server, pattern="notes/**/*.md") == ["notes/old/c.md"]
    assert found(server, pattern="**/b.*", path="notes") == ["b.txt"]
    assert found(server, pattern="*", path="deep") == ["c.md"]
    assert found(server, pattern="*", text="needle") == ["notes/b.txt", "notes/old/c.md"]
    (match,) = call(server, "search_files", pattern="*.txt", text="needle")["matches"]
    assert match["lines"] == [{"number": 2, "text": "two needle"}]
    assert found(server, pattern="secret*") == []


def test_a_search_says_what_it_did_not_look_into(server: ToolServer, root: Path) -> None:
    with (root / "large").open("wb") as file:
        file.truncate(FILE_SEARCH_FILE_MAX_BYTES + 1)
    result = call(server, "search_files", pattern="*", text="needle")
    assert (len(result["matches"]), result["stopped_by"], result["skipped"]) == (2, None, 1)
    assert refused(server, "search_files", pattern="*", text="two\nlines") == "text_invalid"


def test_many_deep_searches_at_once_find_all(server: ToolServer, root: Path) -> None:
    deep = root.joinpath(*["d"] * (FILE_PATH_DEPTH_MAX - 1))
    deep.mkdir(parents=True)
    for number in range(5):
        (deep / f"{number}.deep").write_text("x")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    open_now = len(list(Path("/proc/self/fd").iterdir()))
    resource.setrlimit(resource.RLIMIT_NOFILE, (open_now + 200, hard))
    try:
        with ThreadPoolExecutor(16) as threads:
            found_ = list(
                threads.map(lambda _: len(call(server, "search_files", pattern="*.deep")["matches"]), range(64))
            )
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert set(found_) == {5}


@pytest.mark.parametrize("pattern", ["", "/etc/*", "../*", "notes/../../*", "a\\b", "*" * 300])
def test_patterns_that_are_none(server: ToolServer, pattern: str) -> None:
    assert refused(server, "search_files", pattern=pattern) == "pattern_invalid"


def test_patterns_that_would_take_for_ever_elsewhere() -> None:
    assert not Pattern("*a" * 100 + "b").fits(["a" * 255])
    assert not Pattern("**/" * 80 + "b").fits(["a"] * 32)


def test_a_search_that_finds_more_than_asked_for_says_so(server: ToolServer) -> None:
    result = call(server, "search_files", pattern="*", max_results=2)
    assert (len(result["matches"]), result["stopped_by"]) == (2, "results")


def test_a_search_ends_at_its_bounds(server: ToolServer, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    search = "services.mcp_gateway.servers.filesystem.search"
    monkeypatch.setattr(f"{search}.FILE_SEARCH_ENTRIES_MAX", 3)
    assert call(server, "search_files", pattern="*")["stopped_by"] == "entries"
    monkeypatch.undo()
    monkeypatch.setattr(f"{search}.FILE_SEARCH_SECONDS", -1.0)
    assert call(server, "search_files", pattern="*")["stopped_by"] == "time"
    monkeypatch.undo()
    monkeypatch.setattr(f"{search}.FILE_SEARCH_BYTES_MAX", 20)
    assert call(server, "search_files", pattern="*", text="needle")["stopped_by"] == "bytes"


def test_a_swap_between_any_two_moments_shows_nothing_from_outside(
    server: ToolServer, root: Path, outside: Path
) -> None:
    """A thread swaps a folder for a link to outside and back while files in it are read, written and searched."""
    inside = root / "flip"
    inside.mkdir()
    (inside / "secret.txt").write_text("inside")
    (root / "away").symlink_to(outside)
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            for one, other in (("flip", "kept"), ("away", "flip"), ("flip", "away"), ("kept", "flip")):
                (root / one).rename(root / other)

    swapper = threading.Thread(target=swap)
    swapper.start()
    seen: dict[str, int] = {}
    try:
        for number in range(3_000):
            try:
                said = call(server, "read_file", path="flip/secret.txt")["content"]
                if number % 10 == 0:
                    call(server, "write_file", path="flip/new.txt", content="x")
                    call(server, "search_files", path="flip", pattern="*", text="outside")
            except ToolRefused as error:
                said = error.code
            seen[said] = seen.get(said, 0) + 1
    finally:
        stop.set()
        swapper.join()
    assert SECRET not in seen
    assert [entry.name for entry in outside.iterdir()] == ["secret.txt"]
    assert seen.get("inside", 0) > 0
    assert sum(seen.values()) > seen["inside"]


def test_no_call_leaves_a_descriptor_behind(server: ToolServer) -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").is_dir() else 0  # noqa: PTH208

    before = descriptors()
    for path in [*WAYS_OUT, "a.txt", "in.txt", "fifo", "nothing", "circle1", "d/" * 40]:
        for name in ("read_file", "get_file_info", "list_directory", "create_directory", "delete_file"):
            try:
                call(server, name, path=path)
            except ToolRefused:
                continue
    call(server, "search_files", pattern="*", max_results=1)
    assert descriptors() == before
