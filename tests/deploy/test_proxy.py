"""deploy/nginx/mmbot.conf in a real nginx: who gets through to the UI, and with what."""

import asyncio
import os
import pwd
import shutil
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest
import requests
from aiohttp import web

from mmbot_pipelines.devnet.stack import free_port
from tests.polling import is_listening

CONF = Path(__file__).parents[2] / "deploy" / "nginx" / "mmbot.conf"
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
PASSWORD = ("operator", "correct horse")

pytestmark = pytest.mark.skipif(
    NGINX is None or shutil.which("openssl") is None,
    reason="nginx or openssl is not installed: `apt-get install nginx-light openssl`",
)

MAIN = """
daemon off;
user {user};
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/mmbot.conf;
}}
"""


class Proxied:
    """The proxy before an upstream that answers with the headers it was sent."""

    def __init__(self, port: int, certificate: Path) -> None:
        self.url = f"https://127.0.0.1:{port}"
        self.certificate = certificate

    def get(
        self,
        path: str = "/",
        *,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = PASSWORD,
        method: str = "GET",
    ) -> requests.Response:
        return requests.request(
            method,
            f"{self.url}{path}",
            headers=headers,
            auth=auth,
            verify=str(self.certificate),
            timeout=120,
        )

    async def echoed(self, text: str, *, origin: str, password: str = PASSWORD[1]) -> str:
        trust = ssl.create_default_context(cafile=str(self.certificate))
        headers = {"Authorization": aiohttp.encode_basic_auth(PASSWORD[0], password)}
        url = f"{self.url}/graphql"
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.ws_connect(url, ssl=trust, origin=origin) as wire,
        ):
            await wire.send_str(text)
            return await wire.receive_str(timeout=120)


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    folder = tmp_path_factory.mktemp("nginx")
    make_certificate(folder)
    user, password = PASSWORD
    hashed = openssl("passwd", "-6", password)
    (folder / "htpasswd").write_text(f"{user}:{hashed}\n")
    with upstream() as behind:
        port = free_port(0)
        (folder / "mmbot.conf").write_text(here(CONF.read_text(), folder, port, behind))
        me = pwd.getpwuid(os.getuid()).pw_name
        (folder / "nginx.conf").write_text(MAIN.format(folder=folder, user=me))
        with nginx(folder, port):
            yield Proxied(port, folder / "cert.pem")


def here(conf: str, folder: Path, port: int, behind: int) -> str:
    """Replace what differs on this machine: ports and files, and nothing else."""
    for there, ours, times in (
        ("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;", 1),
        ("listen [::]:443 ssl;", "", 1),
        ("/etc/mmbot/tls/fullchain.pem", str(folder / "cert.pem"), 1),
        ("/etc/mmbot/tls/privkey.pem", str(folder / "key.pem"), 1),
        ("/etc/nginx/mmbot.htpasswd", str(folder / "htpasswd"), 1),
        ("http://127.0.0.1:3000", f"http://127.0.0.1:{behind}", 2),
    ):
        assert conf.count(there) == times, there
        conf = conf.replace(there, ours)
    return conf


def openssl(*arguments: str) -> str:
    made = subprocess.run(["openssl", *arguments], check=True, capture_output=True, text=True)
    return made.stdout.strip()


def make_certificate(folder: Path) -> None:
    openssl(
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
        *("-days", "1", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"),
        *("-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")),
    )


@contextmanager
def nginx(folder: Path, port: int) -> Iterator[None]:
    assert NGINX is not None
    command = [NGINX, "-p", str(folder), "-e", str(folder / "start.log")]
    command += ["-c", str(folder / "nginx.conf")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 120
        while not is_listening(port):
            if process.poll() is not None or time.monotonic() > end:
                logs = [path.read_text() for path in folder.glob("*.log")]
                raise AssertionError("\n".join(["nginx does not serve", *logs]))
            time.sleep(0.02)
        yield
    finally:
        process.terminate()
        process.wait(timeout=120)


@contextmanager
def upstream() -> Iterator[int]:
    """Serve in Dagster's place, from a thread; yield the port."""
    loop = asyncio.new_event_loop()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    loop.run_until_complete(runner.setup())
    site = web.TCPSite(runner, "127.0.0.1", 0)
    loop.run_until_complete(site.start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield runner.addresses[0][1]
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(120)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def answer(request: web.Request) -> web.StreamResponse:
    wire = web.WebSocketResponse()
    if not wire.can_prepare(request):
        return web.json_response(dict(request.headers))
    await wire.prepare(request)
    async for message in wire:
        await wire.send_str(f"echo {message.data}")
    return wire


def test_nobody_gets_in_without_the_password(proxied: Proxied) -> None:
    for auth in (None, (PASSWORD[0], "wrong"), ("somebody", PASSWORD[1])):
        for path in ("/", "/graphql", "/runs/1", "/server_info"):
            refused = proxied.get(path, auth=auth)
            assert refused.status_code == 401
            assert refused.headers["WWW-Authenticate"] == 'Basic realm="MM Bot"'


def test_the_password_opens_and_stays_with_the_proxy(proxied: Proxied) -> None:
    let_in = proxied.get()
    assert let_in.status_code == 200
    assert let_in.headers["X-Frame-Options"] == "DENY"
    assert "max-age" in let_in.headers["Strict-Transport-Security"]
    sent = let_in.json()
    assert "Authorization" not in sent
    assert sent["Host"] == proxied.url.removeprefix("https://")
    assert sent["X-Forwarded-Proto"] == "https"


def test_plain_http_is_not_served(proxied: Proxied) -> None:
    answered = requests.get(proxied.url.replace("https", "http"), auth=PASSWORD, timeout=120)
    assert answered.status_code == 400
    assert "Accept-Encoding" not in answered.text  # nothing of the upstream's


def test_a_websocket_passes_for_the_ui_alone(proxied: Proxied) -> None:
    assert asyncio.run(proxied.echoed("hello", origin=proxied.url)) == "echo hello"
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        asyncio.run(proxied.echoed("hello", origin=proxied.url, password="wrong"))
    assert refused.value.status == 401
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        asyncio.run(proxied.echoed("hello", origin="https://elsewhere.example"))
    assert refused.value.status == 403


@pytest.mark.parametrize(
    "path", ["/graphql", "/graphql?query=mutation{x}", "//graphql", "/%67raphql"]
)
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),  # a program
        ({"Sec-Fetch-Site": "none"}, 200),  # typed by hand
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": "OURS"}, 200),
        ({"Origin": "OURS", "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": "OURS.elsewhere.example"}, 403),
        ({"Origin": "https://elsewhere.example"}, 403),
        ({"Origin": "null", "Sec-Fetch-Site": "same-origin"}, 403),
    ],
)
def test_no_other_page_can_make_the_browser_ask(
    proxied: Proxied, path: str, headers: dict[str, str], status: int
) -> None:
    sent = {name: value.replace("OURS", proxied.url) for name, value in headers.items()}
    for method in ("GET", "POST"):
        assert proxied.get(path, headers=sent, method=method).status_code == status


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_no_other_page_can_report_what_has_not_happened(proxied: Proxied, method: str) -> None:
    path = "/report_asset_materialization/failed_order"
    for headers in ({"Origin": "https://elsewhere.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert proxied.get(path, headers=headers, method=method).status_code == 403
    own = {"Origin": proxied.url, "Sec-Fetch-Site": "same-origin"}
    assert proxied.get(path, headers=own, method=method).status_code == 200


def test_a_link_from_elsewhere_still_opens_a_page(proxied: Proxied) -> None:
    assert proxied.get("/runs/1", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200
