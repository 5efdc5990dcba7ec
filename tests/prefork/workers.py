"""gunicorn's workers as the system shows them: their IDs, and their connections to the backend."""

from __future__ import annotations

from pathlib import Path

from running import Process


def workers_of(server: Process) -> set[int]:
    """Return the process IDs of a server's workers that live."""
    server_id = server.popen.pid
    children = Path(f"/proc/{server_id}/task/{server_id}/children").read_text().split()
    return {int(child) for child in children if _lives(child)}


def _lives(process: str) -> bool:
    """Tell whether a process has not ended; the dead stay in the list until they are asked for."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def connections(process: int, port: int) -> set[str]:
    """Return the inodes of the sockets of a process that are connected to a port of this machine."""
    table = [line.split() for line in Path(f"/proc/{process}/net/tcp").read_text().splitlines()[1:]]
    to_port = {row[9] for row in table if row[2].endswith(f":{port:04X}")}
    return {link[len("socket:[") : -1] for link in _open_files(process) if link.startswith("socket:[")} & to_port


def _open_files(process: int) -> list[str]:
    return [str(file.readlink()) for file in Path(f"/proc/{process}/fd").iterdir()]
