# A Python server with a thread a connection that answers numbered requests. Arguments: port, certificate, key, access log.
import http.server
import json
import socketserver
import ssl
import sys
import threading

port, certificate, key, log = sys.argv[1:5]
out = open(log, "w", buffering=1)
lock = threading.Lock()
big = (b"HTTP/1.1 200 OK\r\n\r\nnot a response\n" * 2000)[:65536]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # The answer leaves as one write.
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_GET(self):
        length = int(self.headers.get("Content-Length", 0))
        # Answered when so much of the body is read.
        early = int(self.headers.get("X-Early", length))
        read = len(self.rfile.read(early))
        first = self.path.split("/")[1]
        id = self.headers["X-Id"]
        answer = big if first == "big" else (id + "\n").encode()
        status = 200 if first == "big" else int(first)
        line = {
            "id": id, "method": self.command, "target": self.path, "status": status, "body": str(length),
            "version": self.connection.version(), "suite": self.connection.cipher()[0],
            "reused": "r" if self.connection.session_reused else ".",
        }
        with lock:
            out.write(json.dumps(line) + "\n")
        self.send_response(status)
        self.send_header("X-Id", id)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
        self.wfile.flush()
        self.rfile.read(length - read)

    do_POST = do_GET

    def log_message(self, *_):
        pass


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 1024

    # The handshake is the connection's own business, and must not hold up the others.
    def get_request(self):
        connection, address = super().get_request()
        return context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False), address

    def handle_error(self, *_):
        pass


Server(("127.0.0.1", int(port)), Handler).serve_forever()
