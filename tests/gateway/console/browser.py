"""A headless Chromium, driven over WebDriver (W3C) by plain HTTP: what these tests need of it, and no more."""

import base64
import shutil
import subprocess
import time

import httpx

from gateway.engines.ports import free_port

_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
]


class Browser:
    """One browser with a new profile in `folder`."""

    def __init__(self, folder):
        port = free_port(set())
        self._driver = subprocess.Popen(
            [shutil.which("chromedriver"), f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=240, trust_env=False)
        until(lambda: self._http.get("/status").json()["value"]["ready"])
        chrome = {"args": [*FLAGS, f"--user-data-dir={folder}"], "binary": shutil.which("chromium")}
        wanted = {"browserName": "chrome", "goog:chromeOptions": chrome, "goog:loggingPrefs": {"browser": "ALL"}}
        session = self._call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self._session = f"/session/{session['sessionId']}"

    def close(self):
        self._call("DELETE", self._session)
        self._http.close()
        self._driver.terminate()
        self._driver.wait(10)

    def go(self, url):
        self._in("POST", "/url", {"url": url})

    @property
    def url(self):
        return self._in("GET", "/url")

    def text(self, selector="body"):
        return self.run("return document.querySelector(arguments[0])?.textContent ?? ''", selector)

    def type(self, selector, text):
        self._in("POST", f"/element/{self._find(selector)}/value", {"text": text})

    def clear(self, selector):
        self.run(
            "const field = document.querySelector(arguments[0]); field.value = '';"
            "field.dispatchEvent(new Event('input', {bubbles: true}))",
            selector,
        )

    def click(self, selector):
        self._in("POST", f"/element/{self._find(selector)}/click", {})

    def run(self, script, *arguments):
        return self._in("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def size(self, width, height):
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self._devtools("Emulation.setDeviceMetricsOverride", metrics)

    def scheme(self, name):
        features = [{"name": "prefers-color-scheme", "value": name}]
        self._devtools("Emulation.setEmulatedMedia", {"features": features})

    def picture(self, path, *, whole=False):
        taken = self._devtools("Page.captureScreenshot", {"format": "png", "captureBeyondViewport": whole})
        path.write_bytes(base64.b64decode(taken["data"]))

    def complaints(self):
        """What the browser's console logged since last asked: CSP violations, script errors, failed requests.

        A poll that a typed filter replaces (``hx-sync``) is no complaint: htmx logs two lines for each.
        """
        logged = [entry["message"] for entry in self._in("POST", "/se/log", {"type": "browser"})]
        replaced = [number for number, message in enumerate(logged) if '"htmx:sendAbort, ' in message]
        wanted = {number - 1 for number in replaced} | set(replaced)
        return [message for number, message in enumerate(logged) if number not in wanted]

    def forget_cookies(self):
        self._devtools("Network.clearBrowserCookies", {})

    def _devtools(self, command, parameters):
        return self._in("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def _find(self, selector):
        return self._in("POST", "/element", {"using": "css selector", "value": selector})[_ELEMENT]

    def _in(self, method, path, body=None):
        return self._call(method, self._session + path, body)

    def _call(self, method, path, body=None):
        answer = self._http.request(method, path, json=body).json()["value"]
        if isinstance(answer, dict) and "error" in answer:
            raise AssertionError(f"{answer['error']}: {answer['message'][:300]}")
        return answer


def until(ready, seconds=240.0):
    """Poll until `ready()` is true. What takes a second may take minutes where many work on one machine."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if ready():
                return
        except (httpx.HTTPError, AssertionError):
            pass
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
