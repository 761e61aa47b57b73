"""`shotput up`: what is started, watched and stopped together."""

import asyncio
import os
import select
import signal
import socket
import stat
import sys
from pathlib import Path

import httpx
import pytest

from app import processes
from app.processes import Part
from app.settings import Settings
from app.supervisor import ServiceEnded, Supervisor, check_port, only_one, with_redis
from tests.running import Up, shotput

FOREVER = [sys.executable, "-c", "import signal; print('up', flush=True); signal.pause()"]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name in [name for name in os.environ if name.startswith("SHOTPUT_")]:
        monkeypatch.delenv(name)
    return Settings(home=tmp_path, redis_url="redis://nowhere.invalid", port=1)


def supervise(settings: Settings, *, api: list[str], worker: list[str]) -> None:
    with only_one(settings.home) as lock:
        workers = [Part("worker-1", worker, replaceable=True)]
        asyncio.run(Supervisor(settings, server=None, api=Part("api", api), workers=workers, lock=lock.fileno()).run())


def test_the_service_survives_a_killed_worker_stops_in_order_and_keeps_what_it_had(tmp_path: Path) -> None:
    with Up(tmp_path / "home") as up:
        up.wait_until_ready()
        assert stat.S_IMODE((up.home / "redis").stat().st_mode) == 0o700
        assert (up.home / "redis" / "socket").is_socket()
        os.kill(up.pid_of("worker", "adapt"), signal.SIGKILL)
        up.wait_for("worker-1 was killed by SIGKILL; starting it again")
        support = {"inputs": [{"a": 1}, {"a": 2}, {"a": 8}, {"a": 9}], "labels": ["low", "low", "high", "high"]}
        answer = httpx.post(f"{up.url}/adapt", json={"base": "table", "support": support}, timeout=60, trust_env=False)
        assert answer.status_code in (201, 202)
        children = [up.pid_of("uvicorn"), up.pid_of("worker", "adapt"), up.pid_of("worker", "meta-train")]
        assert up.stop(signal.SIGINT) == 0
        ends = [next(i for i, line in enumerate(up.printed) if text in line) for text in ("Finished server", "bye bye")]
        assert ends == sorted(ends)
        assert not any(Path(f"/proc/{pid}").exists() for pid in children)
    with Up(up.home) as again:
        again.wait_until_ready()
        model = httpx.get(f"{again.url}/models/{answer.json()['id']}", trust_env=False)
        assert model.json()["classes"] == ["high", "low"]
        os.kill(again.pid_of("unixsocket"), signal.SIGKILL)
        again.wait_for("redis was killed by SIGKILL; starting it again")
        os.kill(again.pid_of("uvicorn"), signal.SIGKILL)
        again.wait_for("api was killed by SIGKILL; starting it again")
        again.wait_for("Application startup complete")
        assert httpx.get(model.url, trust_env=False, timeout=60).json() == model.json()
        assert again.stop() == 0


def test_a_home_is_used_by_one_at_a_time(tmp_path: Path) -> None:
    with only_one(tmp_path):
        second = shotput("up", home=tmp_path)
    assert second.returncode == 1
    assert f"another `shotput up` (process {os.getpid()}) uses {tmp_path}" in second.stderr
    with only_one(tmp_path):
        pass


def test_a_taken_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServiceEnded, match=f"cannot listen on port {port} of 127.0.0.1: Address already in use"):
            check_port("127.0.0.1", port)


def test_a_death_that_cannot_be_mended_is_named_and_stops_the_others(
    settings: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ServiceEnded, match="api ended with exit status 3"):
        supervise(settings, api=[sys.executable, "-c", "print('no'); raise SystemExit(3)"], worker=FOREVER)
    assert "api      | no\n" in capfd.readouterr().out


def test_a_worker_that_keeps_dying_ends_the_service(settings: Settings, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ServiceEnded, match="worker-1 ended with exit status 1, the 6th time in a minute"):
        supervise(settings, api=FOREVER, worker=["false"])
    assert capfd.readouterr().out.count("worker-1 ended with exit status 1; starting it again") == 5


def test_a_worker_may_end_by_itself_as_often_as_it_likes(settings: Settings, tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    recycled = f"echo x >> {starts}; [ $(wc -l < {starts}) -lt 10 ] || {{ kill -TERM {os.getpid()}; exec sleep 60; }}"
    supervise(settings, api=FOREVER, worker=["sh", "-c", recycled])
    assert len(starts.read_text().split()) == 10


def test_without_restart_any_death_is_final(settings: Settings) -> None:
    with pytest.raises(ServiceEnded, match="worker-1 ended with exit status 0"):
        supervise(settings.model_copy(update={"restart": False}), api=FOREVER, worker=["true"])


def test_what_does_not_stop_is_killed(
    settings: Settings, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.supervisor.PATIENCE", 0.1)
    deaf = f"trap '' TERM; kill -TERM {os.getpid()}; sleep 60"
    supervise(settings, api=FOREVER, worker=["sh", "-c", deaf])
    assert "worker-1 did not stop within 0.1 s and is killed" in capfd.readouterr().out


def test_lines_longer_than_any_buffer_are_printed_whole(settings: Settings, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ServiceEnded):
        supervise(settings, api=[sys.executable, "-c", "print('x' * 300_000)"], worker=FOREVER)
    assert f"api      | {'x' * 300_000}\n" in capfd.readouterr().out


def test_a_long_home_gets_its_socket_elsewhere(tmp_path: Path) -> None:
    home = tmp_path / ("long" * 30)
    home.mkdir()
    with with_redis(Settings(home=home, redis_url=None)) as (complete, server):
        assert server is not None
        path = Path(server.command[server.command.index("--unixsocket") + 1])
        assert len(str(path)) < 100
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert complete.redis_url == f"unix://{path}"
    assert not path.parent.exists()


def test_the_server_of_the_wheel_is_used_where_path_has_none_or_an_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "redis-server"
    old.write_text("#!/bin/sh\necho Redis server v=5.0.14 sha=0\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/bin")
    found = processes.find_redis()
    assert found != old
    assert processes.redis_version(found) >= (6, 2)


def test_children_end_with_a_killed_supervisor(tmp_path: Path) -> None:
    with Up(tmp_path / "home") as up:
        up.wait_for("Ready to accept connections")
        server = up.pid_of("-server", "unix")
        server_ended = os.pidfd_open(server)
        up.process.kill()
        assert select.select([server_ended], [], [], 10)[0]
        os.close(server_ended)
