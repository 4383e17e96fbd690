"""Who receives webhooks, over real sockets, with answers that a test has written down."""

import asyncio

NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"


class Receiver:
    """Answers from a list, the last for ever; keeps what it got by connection."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.connections = []
        self.writers = []

    async def __aenter__(self):
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self.server.close()
        for writer in self.writers:
            writer.close()

    def url(self, path="/in"):
        return f"http://127.0.0.1:{self.port}{path}"

    async def _serve(self, reader, writer):
        got = []
        self.connections.append(got)
        self.writers.append(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                got.append(head + await reader.readexactly(length))
                answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                if answer is None:
                    writer.close()
                    return
                for part in answer if isinstance(answer, tuple) else (answer,):
                    writer.write(part)
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
