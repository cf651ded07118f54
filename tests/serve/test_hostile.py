"""What strangers try, two thousand times, while somebody honest uses the server."""

from __future__ import annotations

import json
import os
import random
import socket
import struct
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from serving import Served, form, picture, serving

REQUESTS = 2000
ATTACKERS = 48

HEAD = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
INFER = b"POST /v2/models/colours/infer HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


def sized(body: bytes, head: bytes = HEAD) -> bytes:
    return head + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def png_bomb(width: int, height: int) -> bytes:
    """A few kilobytes that claim so many black pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes((width + 7) // 8 + 1) * height, 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


SMUGGLED = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
BOMB = png_bomb(12_000, 12_000)
FAT_TEXT = b'{"inputs": [' + b"[]," * 300_000 + b"1]}"


def attacks(draw: random.Random) -> list[bytes]:
    """One of each kind; what is cut or damaged is so at another place each time."""
    photo = picture("red", (200, 200), "JPEG")
    cut = draw.randrange(1, len(photo))
    damaged = bytearray(photo)
    for _ in range(20):
        damaged[draw.randrange(2, len(damaged))] = draw.randrange(256)
    files, headers = form(*[("f", f"{number}.png", BOMB) for number in range(17)])
    parts, part_headers = form(("f", "a" * 5000, b"x"))
    kind = headers["Content-Type"].encode()
    form_head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: " + kind + b"\r\n"
    assert headers == part_headers
    return [
        sized(BOMB),
        sized(png_bomb(100_000, 10)),
        sized(photo[:cut]),
        sized(bytes(damaged)),
        sized(draw.randbytes(2000)),
        sized(files, form_head),
        sized(parts, form_head),
        sized(files[: draw.randrange(len(files))], form_head),
        sized(FAT_TEXT, INFER),
        sized(b"[" * 100_000, INFER),
        sized(b'{"inputs": [{"name": "image", "datatype": "UINT8", "shape": [999999999, 32, 32, 3]}]}', INFER),
        HEAD + b"Content-Length: 99999999999999999999\r\n\r\n",
        HEAD + b"Content-Length: 500\r\n\r\nfewer than that",
        HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
        HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nffffffff\r\n" + bytes(1000),
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 3000,
        b"GET / HTTP/1.1\r\nHost: localhost\r\n"
        + b"".join(b"X%d: y\r\n" % number for number in range(10_000))
        + b"\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + draw.randbytes(500),
        draw.randbytes(500),
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" * 200 + b"garbage\r\n\r\n",
    ]


def attack(served: Served, data: bytes, draw: random.Random) -> str:
    """Send it in one of the ways there are, and say how it ended."""
    try:
        with socket.create_connection(("127.0.0.1", served.port), timeout=60) as connection:
            way = draw.random()
            if way < 0.05:
                # Slowloris: a beginning, and nothing more for as long as the server lets it.
                connection.sendall(data[: draw.randrange(1, 40)])
            elif way < 0.1:
                connection.sendall(data[: len(data) // 2])
                return "gone"
            else:
                connection.sendall(data)
            answer = connection.recv(4096)
            return answer[9:12].decode("ascii", "replace") if answer.startswith(b"HTTP/1.1 ") else "closed"
    except TimeoutError:
        return "silence"
    except OSError:
        return "closed"


def resident_bytes(served: Served) -> int:
    pages = int(Path(f"/proc/{served.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def open_files(served: Served) -> int:
    return len(list(Path(f"/proc/{served.process.pid}/fd").iterdir()))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux")
def test_two_thousand_hostile_requests_leave_it_answering(rgb_model: Path) -> None:
    with serving(rgb_model, "--timeout", "3", "--max-body", "2", "--connections", "64") as served:
        count = attack_all(served, REQUESTS // 2, lambda: None)
        files, memory = open_files(served), resident_bytes(served)
        honest: Counter[int] = Counter()

        def be_honest() -> None:
            honest[served.predict(picture("blue")).status] += 1

        count += attack_all(served, REQUESTS // 2, be_honest)
        assert served.predict(picture("blue")).json()["predictions"][0]["label"] == "blue"
        # Everyone was answered or cut off: nobody is still waited for, and no request failed within.
        assert count["silence"] == 0 and count["500"] == 0, count
        assert count.keys() <= {
            "200",
            "400",
            "404",
            "408",
            "413",
            "421",
            "422",
            "429",
            "431",
            "501",
            "503",
            "505",
            "closed",
            "gone",
        }
        # On a machine that does other work as well, the honest may be too slow, too.
        assert honest[200] > 5 and honest.keys() <= {200, 408, 429}, honest
        served.check_log()
        assert "Traceback" not in served.said() and served.log("request")[-1]["level"] == "info"
        assert not [line for line in served.log("request") if line["status"] == 500]
        end = time.monotonic() + 15
        while open_files(served) > files + 5 and time.monotonic() < end:
            time.sleep(0.1)
        assert open_files(served) <= files + 5
        assert resident_bytes(served) < memory + 60_000_000
        assert served.end() == 0


def attack_all(served: Served, requests: int, meanwhile: Callable[[], None]) -> Counter[str]:
    """So many attacks by several attackers; how they ended."""
    over = threading.Event()

    def go_on() -> None:
        while not over.is_set():
            meanwhile()
            time.sleep(0.1)

    other = threading.Thread(target=go_on)
    other.start()
    draw = random.Random(requests)
    endings: Counter[str] = Counter()
    try:
        with ThreadPoolExecutor(ATTACKERS) as pool:
            pending = []
            while len(pending) < requests:
                pending += [pool.submit(attack, served, data, random.Random(draw.random())) for data in attacks(draw)]
            for each in pending:
                endings[each.result()] += 1
    finally:
        over.set()
        other.join()
    return endings


def test_a_picture_bomb_takes_no_memory(served: Served) -> None:
    reply = served.predict(png_bomb(12_000, 12_000)[:90_000])
    assert reply.status == 422 and "12000 × 12000" in reply.json()["error"]


def test_urls_are_never_fetched(served: Served) -> None:
    """A request that names an address makes the server call nobody."""
    with socket.socket() as trap:
        trap.bind(("127.0.0.1", 0))
        trap.listen()
        trap.settimeout(0.5)
        url = f"http://127.0.0.1:{trap.getsockname()[1]}/x.png"
        body, headers = form(("url", None, url.encode()), ("file", url, url.encode()))
        served.ask("POST", "/predict", body, headers)
        served.ask("POST", f"/predict?url={url}", b"")
        served.ask("POST", "/predict", url.encode(), {"Content-Type": "image/png"})
        served.ask("POST", "/v2/models/colours/infer", json.dumps({"inputs": [{"name": "image", "url": url}]}).encode())
        with pytest.raises(TimeoutError):
            trap.accept()
