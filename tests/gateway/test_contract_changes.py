"""`crossdock contracts diff`: the table, the JSON, the exit status, and a gateway as the older side."""

import asyncio
import json
import shutil
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.app import published_apis
from gateway.cli import main

FOLDER = Path(__file__).parents[2] / "openapi"
V1 = "experience/storefront/v1.yaml"


@pytest.fixture
def older(tmp_path):
    """What was published, to be made another."""
    shutil.copytree(FOLDER, tmp_path / "older")
    return tmp_path / "older"


def rewrite(folder, before, after, name=V1):
    path = folder / name
    text = path.read_text(encoding="utf-8")
    assert before in text
    path.write_text(text.replace(before, after), encoding="utf-8")


def test_nothing_differs_between_the_code_and_what_is_published(capsys):
    assert main(["contracts", "diff", "--base", str(FOLDER)]) == 0
    assert "nothing differs for a consumer" in capsys.readouterr().out
    assert main(["contracts", "diff", "--base", str(FOLDER), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"breaking": 0, "documents": {}}


def test_a_breaking_change_is_exit_status_1_with_the_place_and_what_to_do(older, capsys):
    rewrite(older, "operationId: getAvailability", "operationId: askAvailability")
    assert main(["contracts", "diff", "--base", str(older), "--folder", str(FOLDER)]) == 1
    told = capsys.readouterr()
    row = next(line for line in told.out.splitlines() if "operation.id" in line)
    assert row.startswith("BREAKING")
    assert f"{V1}  GET /storefront/v1/availability" in row
    assert "publish the next major version" in told.err
    assert main(["contracts", "diff", "--base", str(older), "--folder", str(FOLDER), "--json"]) == 1
    listed = json.loads(capsys.readouterr().out)
    assert listed["breaking"] == 1
    assert listed["documents"][V1][0]["rule"] == "operation.id"


def test_an_additive_change_is_told_and_passes(older, capsys):
    (older / V1).unlink()
    assert main(["contracts", "diff", "--base", str(older), "--folder", str(FOLDER)]) == 0
    assert "additive" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["", "a: [", "[]", "openapi"])
def test_what_is_no_contract_is_refused_with_its_name(older, text, capsys):
    (older / V1).write_text(text, encoding="utf-8")
    assert main(["contracts", "diff", "--base", str(older)]) == 2
    assert "v1.yaml" in capsys.readouterr().err


def test_an_empty_folder_and_no_address_are_refused(tmp_path, capsys):
    assert main(["contracts", "diff", "--base", str(tmp_path)]) == 2
    assert "has no contracts" in capsys.readouterr().err
    assert main(["contracts", "diff", "--against", "ftp://x"]) == 2
    assert "no address of a gateway" in capsys.readouterr().err


@contextmanager
def published_by(folder):
    """A gateway that publishes this folder, as its catalogue and contracts go over the wire."""
    served = {f"/apis/{api.name}/{api.version}": api for api in published_apis() if api.facing == "partner"}

    def body(path):
        if path == "/.well-known/api-catalog":
            entries = [{"anchor": api.anchor, "service-desc": [{"href": at}]} for at, api in served.items()]
            return 200, json.dumps({"linkset": entries}).encode()
        return (200, (folder / served[path].path).read_bytes()) if path in served else (404, b"")

    async def answer(reader, writer):
        path = (await reader.readline()).split()[1].decode()
        while (await reader.readline()).strip():
            pass
        status, content = body(path)
        writer.write(f"HTTP/1.1 {status} x\r\ncontent-length: {len(content)}\r\nconnection: close\r\n\r\n".encode())
        writer.write(content)
        await writer.drain()
        writer.close()

    loop, at = asyncio.new_event_loop(), []

    async def serve():
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        at.append(server.sockets[0].getsockname()[1])
        return server

    server = loop.run_until_complete(serve())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{at[0]}"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        server.close()
        loop.close()


@pytest.mark.integration
def test_what_a_gateway_publishes_is_compared_with_the_code(older, capsys):
    with published_by(older) as url:
        assert main(["contracts", "diff", "--against", url]) == 0
        assert "nothing differs" in capsys.readouterr().out
        rewrite(older, "operationId: getAvailability", "operationId: askAvailability")
        assert main(["contracts", "diff", "--against", url]) == 1
        assert V1 in capsys.readouterr().out
    assert main(["contracts", "diff", "--against", url]) == 2
