// Small manners on top of htmx: be quiet while hidden, say when answers stay away, open and close the drawer.
"use strict";

(() => {
  const banner = document.getElementById("connection");
  const heard = document.getElementById("heard");
  const detail = document.getElementById("detail");
  const notice = document.getElementById("notice");
  let opener = null;

  const isPoll = (event) => event.detail.requestConfig?.triggeringEvent == null
    && event.detail.elt.matches("[data-panel]");

  const say = (text) => {
    if (banner === null || banner.textContent === text) return;
    banner.textContent = text;
    banner.hidden = text === "";
    document.body.classList.toggle("is-stale", text !== "");
  };

  const close = () => {
    if (detail === null || detail.childElementCount === 0) return;
    detail.replaceChildren();
    document.body.classList.remove("has-detail");
    const again = opener && document.getElementById(opener);
    if (again) again.focus();
    opener = null;
  };

  document.addEventListener("htmx:beforeRequest", (event) => {
    if (document.hidden && isPoll(event)) event.preventDefault();
    const target = event.detail.target;
    if (target === detail && event.detail.elt.id) opener = event.detail.elt.id;
  });

  document.addEventListener("htmx:afterRequest", (event) => {
    const status = event.detail.xhr ? event.detail.xhr.status : 0;
    if (status >= 200 && status < 500) {
      say("");
      if (heard !== null) heard.textContent = new Date().toLocaleTimeString();
    } else if (event.detail.elt.matches("[data-panel]")) {
      say("No answer from the console since " + (heard && heard.textContent || "a while") + ": what you see may be old.");
    }
  });

  document.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target !== detail) return;
    document.body.classList.add("has-detail");
    detail.scrollTop = 0;
    const heading = detail.querySelector("h2");
    if (heading) heading.focus();
  });

  document.addEventListener("click", (event) => {
    const closer = event.target.closest("[data-close]");
    if (closer === null) return;
    if (closer.dataset.close === "notice") notice.replaceChildren();
    else if (detail !== null && detail.contains(closer)) {
      event.preventDefault();
      close();
    }
  });

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") close();
  });

  document.querySelector("nav a[aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) htmx.trigger(document.body, "refresh");
  });
})();
