#!/usr/bin/env python3
"""Proves with gRPC's own client (grpcio), and with a client of bare HTTP/2 frames, that both servers of this package
keep what Prefork promises. Listens on 127.0.0.1, on ports that the kernel chooses.

    ./prove-grpc.py [debug|release] [--skip-build]    debug by default; the build, and two minutes

Installs the clients' libraries from PyPI once, into .build of the repository.
"""
import collections
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

FOLDER = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(FOLDER)))
sys.path.insert(0, os.path.join(ROOT, "CI"))
from support import (  # noqa: E402
    DEADLINE, HOST, Clients, Failure, Server, expect, fleet, needs, state_and_parent, until)

TOOLS = os.path.join(ROOT, ".build/grpc-clients")
PACKAGES = ["grpcio==1.85.1", "hpack==4.2.0", "hyperframe==6.1.0"]


def enter_environment():
    """Continues in a Python that has the clients."""
    python = os.path.join(TOOLS, "bin/python")
    if sys.prefix == TOOLS:
        return
    stamp = os.path.join(TOOLS, "complete")
    if not os.path.exists(stamp):
        script = '. "$1"; virtual_environment "$2"; shift 2; "$0" install --quiet "$@"'
        done = subprocess.run(
            ["bash", "-euc", script, os.path.join(TOOLS, "bin/pip"), os.path.join(ROOT, "CI/support.sh"), TOOLS,
             *PACKAGES], check=False)
        if done.returncode:
            sys.exit(done.returncode)
        with open(stamp, "w", encoding="ascii"):
            pass
    os.execv(python, [python, os.path.abspath(__file__), *sys.argv[1:]])


enter_environment()
os.environ["GRPC_VERBOSITY"] = "ERROR"
import grpc  # noqa: E402
import hpack  # noqa: E402
from hyperframe import frame  # noqa: E402

CHILDREN = 4
GRACE = 5  # Seconds in which children drain, Prefork's default.


# ---- Clients


class Calls:
    """gRPC's client, on a connection of its own. With `retries`, a policy makes it call again if a server was
    unavailable."""

    def __init__(self, port, retries=False):
        policy = {"maxAttempts": 5, "initialBackoff": "0.02s", "maxBackoff": "0.2s", "backoffMultiplier": 2,
                  "retryableStatusCodes": ["UNAVAILABLE"]}
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1),
                   ("grpc.initial_reconnect_backoff_ms", 100),
                   ("grpc.service_config", json.dumps(
                       {"methodConfig": [{"name": [{}], "retryPolicy": policy}]} if retries else {}))]
        self.channel = grpc.insecure_channel(f"{HOST}:{port}", options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.channel.close()

    def method(self, kind, name):
        return getattr(self.channel, kind)(
            f"/prefork.Calls/{name}", request_serializer=str.encode, response_deserializer=bytes.decode)

    def get(self, text, **options):
        return self.method("unary_unary", "Get")(text, timeout=DEADLINE, **options)

    def get_later(self, text):
        return self.method("unary_unary", "Get").future(text, timeout=DEADLINE)

    def stream(self, name, text):
        return self.method("unary_stream", name)(text, timeout=DEADLINE)

    def echo(self, texts):
        return self.method("stream_stream", "Echo")(texts, timeout=DEADLINE)


class Frames:
    """One connection of HTTP/2, whose frames are seen in their order."""

    def __init__(self, port):
        self.socket = socket.create_connection((HOST, port), DEADLINE)
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder()
        self.buffer, self.frames, self.is_closed, self.next_stream = b"", [], False, 1
        self.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", frame.SettingsFrame(0))

    def send(self, *parts):
        data = b"".join(part if isinstance(part, bytes) else part.serialize() for part in parts)
        # A server that has said all may have closed the connection. What it has said can still be read.
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            self.socket.sendall(data)

    def call(self, name, text):
        stream, self.next_stream = self.next_stream, self.next_stream + 2
        headers = self.encoder.encode([
            (":method", "POST"), (":scheme", "http"), (":path", f"/prefork.Calls/{name}"), (":authority", HOST),
            ("content-type", "application/grpc"), ("te", "trailers")])
        message = text.encode()
        self.send(frame.HeadersFrame(stream, headers, flags=["END_HEADERS"]),
                  frame.DataFrame(stream, b"\0" + len(message).to_bytes(4, "big") + message, flags=["END_STREAM"]))
        return stream

    def receive(self):
        """Reads what arrives next. Must not be called once the connection is closed."""
        try:
            data = self.socket.recv(65_536)
        except ConnectionResetError:
            data = b""
        self.is_closed = not data
        self.buffer += data
        while len(self.buffer) >= 9:
            received, length = frame.Frame.parse_frame_header(memoryview(self.buffer[:9]))
            if len(self.buffer) < 9 + length:
                break
            received.parse_body(memoryview(self.buffer[9:9 + length]))
            self.buffer = self.buffer[9 + length:]
            self.take(received)

    def take(self, received):
        self.frames.append(received)
        if isinstance(received, frame.HeadersFrame):
            received.headers = dict(self.decoder.decode(received.data))
        elif isinstance(received, frame.SettingsFrame) and "ACK" not in received.flags:
            self.send(frame.SettingsFrame(0, flags=["ACK"]))
        elif isinstance(received, frame.PingFrame) and "ACK" not in received.flags:
            self.send(frame.PingFrame(0, received.opaque_data, flags=["ACK"]))

    def find(self, kind, stream=None, flag=None):
        """The positions of such frames."""
        return [position for position, each in enumerate(self.frames)
                if isinstance(each, kind) and stream in (None, each.stream_id) and (not flag or flag in each.flags)]

    def end(self, stream):
        """The position of the stream's end, or an empty list."""
        return self.find((frame.HeadersFrame, frame.DataFrame), stream, "END_STREAM")

    def answer(self, stream):
        """Reads until the stream ends. The status of gRPC and the messages."""
        while not self.end(stream):
            expect(not self.find(frame.RstStreamFrame, stream), "the stream was reset")
            self.receive()
            expect(not self.is_closed, "the connection was closed before the stream ended")
        trailers = self.frames[self.end(stream)[0]]
        data = b"".join(self.frames[place].data for place in self.find(frame.DataFrame, stream))
        messages = []
        while data:
            length = int.from_bytes(data[1:5], "big")
            messages.append(data[5:5 + length].decode())
            data = data[5 + length:]
        return trailers.headers["grpc-status"], messages

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


class Load(Clients):
    """Unary calls without a pause, on a connection of its own for each thread."""

    def __init__(self, port, count, retries=False):
        self.port, self.retries, self.done = port, retries, []
        super().__init__(self.run, [None] * count)

    def run(self, _):
        with Calls(self.port, self.retries) as calls:
            while not self.over.is_set():
                begin = time.monotonic()
                try:
                    calls.get("hello")
                    self.done.append((begin, None))
                except grpc.RpcError as error:
                    self.done.append((begin, f"{error.code().name}: {error.details()}"))

    def failures(self):
        return collections.Counter(fault for _, fault in self.done if fault)

    def wait_for_more(self, count):
        target = len(self.done) + count
        until(lambda: len(self.done) >= target, f"{count} calls")


def clients_of_all(port, children):
    """A client for each child, with a connection there."""
    found = {}
    for _ in range(400):
        calls = Calls(port)
        pid = int(calls.get("pid"))
        expect(pid in children, f"an answer of {pid}, which is none of {children}")
        if pid in found:
            calls.channel.close()
        else:
            found[pid] = calls
        if len(found) == len(children):
            return found
    raise Failure(f"after 400 connections, only {sorted(found)} of {sorted(children)} have answered")


# ---- Proofs. Each starts its own server and returns what is printed.


def all_answer(binary, arguments):
    server, port = fleet(binary, CHILDREN, *arguments)
    with server:
        clients = clients_of_all(port, server.children())
        for pid, calls in clients.items():
            expect(calls.get("hello") == "hello", "a unary call got another answer")
            expect(list(calls.stream("Count", "3 0")) == ["0", "1", "2"], "a server stream got another answer")
            expect(list(calls.echo(iter(["a", "b"]))) == ["a", "b"], "a bidirectional stream got another answer")
            calls.channel.close()
        return f"{CHILDREN} children answer unary and streaming calls; stopped in {server.stop():.2f} s"


def short_connections(binary, arguments):
    server, port = fleet(binary, CHILDREN, *arguments)
    with server:
        children, answers, each = set(server.children()), collections.Counter(), 100

        def run():
            for _ in range(each):
                try:
                    with Frames(port) as frames:
                        status, messages = frames.answer(frames.call("Get", "pid"))
                        answers[int(messages[0]) if status == "0" else f"status {status}"] += 1
                except (OSError, Failure) as fault:
                    answers[str(fault)] += 1

        threads = [threading.Thread(target=run, daemon=True) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(DEADLINE * 2)
        expect(set(answers) <= children and sum(answers.values()) == 8 * each, f"answers: {answers}")
        server.stop()
        expect(not server.find("exited: (?!status 0 )"), "a child was lost")
        return f"{8 * each} connections with a call each, none failed; " + "/".join(map(str, answers.values()))


def child_killed(binary, arguments):
    server, port = fleet(binary, CHILDREN, *arguments)
    with server:
        clients = clients_of_all(port, server.children())
        victim = next(iter(clients))
        streams = {pid: calls.stream("Count", "20 50") for pid, calls in clients.items()}
        for stream in streams.values():
            expect(next(stream) == "0", "a stream begins with another message")
        os.kill(victim, signal.SIGKILL)
        for pid, stream in streams.items():
            try:
                expect(len(list(stream)) == 19 and pid != victim, "the killed child's stream ended in order")
            except grpc.RpcError as error:
                expect(pid == victim, f"a stream of another child failed: {error}")
        answer = clients[victim].get("pid", wait_for_ready=True)
        expect(int(answer) != victim, "the killed child answers")
        for calls in clients.values():
            calls.channel.close()
        server.wait_for("ready after", CHILDREN + 1)
        server.stop()
        return f"{CHILDREN} streams, one lost; its client's next call was answered"


def drain(binary, arguments):
    """What is in flight at SIGTERM is finished, also a stream of which each message comes later."""
    server, port = fleet(binary, CHILDREN, *arguments)
    with server:
        clients = clients_of_all(port, server.children())
        unary = [calls.get_later("slow 1000") for calls in clients.values()]
        streams = [calls.stream("Count", "10 100") for calls in clients.values()]
        for stream in streams:
            expect(next(stream) == "0", "a stream begins with another message")
        goes_on, echoed = threading.Event(), []

        def texts():
            yield "before"
            goes_on.wait(DEADLINE)
            yield "after"

        echo = next(iter(clients.values())).echo(texts())
        expect(next(echo) == "before", "the bidirectional stream does not answer")
        start = time.monotonic()
        server.process.terminate()
        server.wait_for("stopping: ")
        time.sleep(0.3)  # The children have begun to drain.
        goes_on.set()
        try:
            echoed = list(echo)
            counted = [list(stream) for stream in streams]
            answers = [call.result(DEADLINE) for call in unary]
        except grpc.RpcError as error:
            raise Failure(f"a call in flight failed: {error.code().name}: {error.details()}") from None
        expect(echoed == ["after"], f"the bidirectional stream got {echoed}")
        expect(all(numbers == [str(number) for number in range(1, 10)] for numbers in counted), f"streams: {counted}")
        expect(answers == ["slow 1000"] * CHILDREN, f"unary calls: {answers}")
        elapsed = server.wait(start)
        for calls in clients.values():
            calls.channel.close()
        return f"{CHILDREN} unary calls, {CHILDREN} server streams and a bidirectional one finished in {elapsed:.2f} s"


def goaway(binary, arguments):
    """The order of the frames that a client sees."""
    server, port = fleet(binary, CHILDREN, *arguments)
    with server, Frames(port) as frames, Frames(port) as idle:
        stream = frames.call("Count", "5 200")
        while not frames.find(frame.DataFrame):
            frames.receive()
        start = time.monotonic()
        server.process.terminate()
        status, messages = frames.answer(stream)
        expect((status, messages) == ("0", ["0", "1", "2", "3", "4"]), f"the stream ended with {status}, {messages}")
        gone = frames.find(frame.GoAwayFrame)
        expect(gone and gone[0] < frames.end(stream)[0], "no GOAWAY before the end of the stream")
        codes = {frames.frames[place].error_code for place in gone}
        expect(codes == {0}, f"GOAWAY has the errors {codes}")
        while not frames.is_closed:
            frames.receive()
        while not idle.is_closed:
            idle.receive()
        expect(idle.find(frame.GoAwayFrame), "no GOAWAY on an idle connection")
        elapsed = server.wait(start)
        return f"GOAWAY (no error), then the rest of the stream, then the end; status 0 after {elapsed:.2f} s"


def stopped_under_load(binary, arguments):
    server, port = fleet(binary, CHILDREN, *arguments)
    with server, Load(port, 8) as load:
        load.wait_for_more(500)
        expect(not load.failures(), f"before SIGTERM: {load.failures()}")
        term = time.monotonic()
        server.process.terminate()
        elapsed = server.wait(term)
        load.stop()
        lost = [fault for begin, fault in load.done if fault and begin < term]
        expect(not lost, f"calls that began before SIGTERM failed: {lost[:3]}")
        return f"{len(load.done)} calls, none of those before SIGTERM failed; status 0 after {elapsed:.2f} s"


def restarted_under_load(binary, arguments):
    """A call that a client begins while its child drains is refused by gRPC Swift. A policy repeats it elsewhere."""
    count = 10
    server, port = fleet(binary, CHILDREN, *arguments)
    with server, Load(port, 4) as plain, Load(port, 4, retries=True) as load:
        load.wait_for_more(200)
        for number in range(1, count + 1):
            os.kill(server.pid, signal.SIGHUP)
            server.wait_for(" restarted: ", number)
        load.wait_for_more(200)
        plain.stop()
        load.stop()
        expect(not load.failures(), f"of {len(load.done)} calls failed in spite of a policy: {load.failures()}")
        refused = sum(plain.failures().values())
        expect(all(fault.startswith("UNAVAILABLE") for fault in plain.failures()), f"{plain.failures()}")
        server.stop()
        return (f"{count} restarts of {CHILDREN} children; with retries {len(load.done)} calls, none failed; "
                f"without them {refused} of {len(plain.done)} were refused")


def large_answers(binary, arguments):
    server, port = fleet(binary, CHILDREN, *arguments)
    with server:
        clients = clients_of_all(port, server.children())
        streams = [calls.stream("Fill", "32") for calls in clients.values()]
        for stream in streams:
            next(stream)
        start = time.monotonic()
        server.process.terminate()
        for stream in streams:
            try:
                size = sum(len(message) for message in stream)
            except grpc.RpcError as error:
                raise Failure(f"a stream was cut: {error.details()}") from None
            expect(size == 31 << 20, f"a stream of {size} bytes")
        elapsed = server.wait(start)
        return f"{CHILDREN} streams of 32 MiB are complete; status 0 after {elapsed:.2f} s"


def silent_clients(binary, arguments):
    """gRPC Swift waits for clients that never answer its PING, so the grace period must end the wait."""
    server, port = fleet(binary, CHILDREN, *arguments)
    with server:
        silent = [socket.create_connection((HOST, port), DEADLINE) for _ in range(8)]
        for number, connection in enumerate(silent):
            connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[:12 if number % 2 else 24])
        time.sleep(0.2)  # The children have read them.
        start = time.monotonic()
        server.process.terminate()
        status = server.process.wait(DEADLINE)
        elapsed = time.monotonic() - start
        for connection in silent:
            connection.close()
        expect(status == 0, f"exit status {status}")
        expect(elapsed < GRACE + 1.5, f"the stop took {elapsed:.1f} s")
        killed = len(server.find("killing it"))
        return f"8 clients with half a handshake: status 0 after {elapsed:.2f} s, {killed} children were killed"


def master_killed(binary, arguments):
    server, port = fleet(binary, CHILDREN, *arguments)
    with server, Frames(port) as frames:
        stream = frames.call("Count", "5 100")
        children = server.children()
        server.process.kill()
        start = time.monotonic()
        expect(frames.answer(stream)[0] == "0", "the stream failed")
        until(lambda: all(state_and_parent(pid)[0] in "ZX" for pid in children), "all children exit", GRACE + 2)
        elapsed = time.monotonic() - start
        # They are children of this process now.
        statuses = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
        expect(not any(statuses), f"the children exited with {statuses}")
        return f"a stream was finished, and {len(children)} children exited after {elapsed:.2f} s, all with status 0"


def early_connections(binary, arguments):
    count = 200
    server = Server(binary, "--children", str(CHILDREN), "--delay-ready", "3000", *arguments, f"{HOST}:0")
    with server:
        port = server.listening()
        early = [Frames(port) for _ in range(count)]
        streams = [frames.call("Get", "pid") for frames in early]
        expect(not server.find("ready after"), "a child was ready before all connections were established")
        answers = collections.Counter()
        for frames, stream in zip(early, streams):
            status, messages = frames.answer(stream)
            expect(status == "0", f"a call failed with {status}")
            answers[int(messages[0])] += 1
            frames.socket.close()
        expect(set(answers) <= set(server.children()), "a stranger answers")
        server.stop()
        return f"{count} connections before any child was ready, all answered"


# SwiftNIO's server channel has an assertion that fails if another process was faster to accept (swift-nio#3500).
# Children that share a listener are such processes, and so are the old and the new child of a slot in a restart.
NOT_IN_DEBUG = {"shared listener", "HUP under load"}
PROOFS = [
    ("all answer", all_answer, []),
    ("short connections", short_connections, []),
    ("shared listener", short_connections, ["--listening", "shared"]),
    ("kill -9 of a child", child_killed, []),
    ("TERM, calls in flight", drain, []),
    ("TERM, frames", goaway, []),
    ("TERM under load", stopped_under_load, []),
    ("HUP under load", restarted_under_load, []),
    ("large answers", large_answers, []),
    ("silent clients", silent_clients, []),
    ("kill -9 of the master", master_killed, []),
    ("early connections", early_connections, []),
]


def main():
    configuration = sys.argv[1] if len(sys.argv) > 1 else "debug"
    needs("swift=")
    failed = False
    if "--skip-build" not in sys.argv:
        built = subprocess.run(
            ["swift", "build", "-c", configuration, "--package-path", FOLDER],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if built.returncode:
            sys.exit(built.stdout)
    for product in ("grpc-takeover", "grpc-server"):
        for title, proof, arguments in PROOFS:
            if title in NOT_IN_DEBUG and configuration == "debug":
                print(f"skipped {product}, {title}: SwiftNIO traps in a debug build", flush=True)
                continue
            try:
                print(f"ok {product}, {title}: {proof(binary(configuration, product), arguments)}", flush=True)
            except (Failure, OSError, grpc.RpcError) as failure:
                failed = True
                print(f"FAILED {product}, {title}: {failure}", flush=True)
    sys.exit(1 if failed else 0)


def binary(configuration, product):
    return os.path.join(FOLDER, ".build", configuration, product)


main()
