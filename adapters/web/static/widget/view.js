// The panel: what the person sees and does. The socket is connection.js, one message is row.js.

import { Connection } from "./connection.js";
import { h, icon, readable } from "./dom.js";
import { clean, link, render, safeUrl } from "./markdown.js";
import { Rows } from "./row.js";
import { load } from "./texts.js";

const LIMIT = 16000;
const MOST_FILES = 5;
const TYPING_MS = 3000;

export async function start({ base, prefix, data, host, root, button, badge, language, paint, contrast }) {
  const get = (path) => fetch(base + path, { credentials: "omit" }).then((file) => (file.ok ? file : Promise.reject(file.status)));
  const [t, css] = await Promise.all([load(base, language), get("widget/panel.css").then((file) => file.text())]);
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(css);
  root.adoptedStyleSheets = [...root.adoptedStyleSheets, sheet];

  let config = {};
  let limit = LIMIT;
  let owner = "agent";
  let person = "";
  let caseOpen = false;
  let starting = false;
  let read = 0;
  let typed = 0;
  let chosen = [];
  let shownFrom;

  const setting = (key) => data[key] ?? config[key];
  const name = () => clean(setting("name")) || t("name");
  const button_ = (cls, label, children, onclick) => h("button", { type: "button", class: cls, "aria-label": label, title: label, onclick }, ...children);
  const text_ = (label, onclick) => h("button", { type: "button", class: "text", onclick }, label);
  const choice = (label, onclick) => h("button", { type: "button", class: "choice", onclick }, label);

  // Header
  const face = h("div", { class: "face", "aria-hidden": "true" });
  const title = h("h2", { id: "title", dir: "auto" });
  const role = h("div", { class: "role" });
  const menuItems = {
    fresh: () => (caseOpen ? finish(true) : clearView()),
    human: () => say(t("humanText")),
    known: () => say(t("known")),
    download: () => download(),
    end: () => caseOpen && finish(false),
  };
  const menu = h("details", {}, h("summary", { class: "icon", "aria-label": t("menu"), title: t("menu") }, icon("more")), h("div", { class: "menu" },
    ...Object.entries(menuItems).map(([key, act]) => h("button", { type: "button", onclick: () => {
      menu.open = false;
      input.focus();
      act();
    } }, t(key)))));
  const header = h("header", {}, face, h("div", { class: "who" }, title, role), menu, button_("icon", t("close"), [icon("close")], () => close()));

  // Messages
  const banner = h("div", { class: "bar", role: "status", hidden: true });
  const greeting = h("div", { class: "body", dir: "auto" });
  const suggestions = h("div", { class: "choices suggest" });
  const bones = h("div", { "aria-label": t("loading"), hidden: true }, ...[1, 2, 3].map(() => h("div", { class: "bone" })));
  const older = h("p", { class: "quiet", hidden: true }, t("older"));
  const earlier = h("p", { class: "quiet", hidden: true }, text_(t("earlier"), () => {
    shownFrom = 0;
    arrange();
  }));
  const list = h("div", { class: "rows" });
  const dots = h("div", { class: "dots", hidden: true }, h("span", { class: "hide" }), h("i"), h("i"), h("i"));
  const queue = h("p", { class: "quiet", hidden: true });
  const survey = h("div", { class: "survey", hidden: true });
  const log = h("div", { class: "log", role: "log", "aria-live": "off", "aria-label": t("messages"), tabIndex: 0 },
    older, earlier, h("div", { class: "row agent" }, greeting), bones, list, suggestions, dots, queue, survey);
  const jump = h("button", { type: "button", class: "jump", hidden: true, onclick: () => scroll() }, icon("down"), t("jump"));
  const over = h("div", { class: "over", hidden: true }, t("drop"));
  const live = h("div", { class: "hide", "aria-live": "polite" });

  // Composer
  const notice = h("div", { class: "bar bad", role: "alert", hidden: true });
  const tray = h("div", { class: "files tray" });
  const count = h("div", { class: "count", hidden: true });
  const picker = h("input", { type: "file", multiple: true, hidden: true, accept: "image/png,image/jpeg,image/gif,image/webp,application/pdf" });
  const input = h("textarea", { rows: "1", "aria-label": t("write"), placeholder: t("write"), dir: "auto" });
  const go = h("button", { class: "go", "aria-label": t("send"), title: t("send"), disabled: true }, icon("send"));
  const form = h("form", {}, picker, button_("icon", t("attach"), [icon("clip")], () => picker.click()), input, go);

  // A cited passage
  const passageTitle = h("h3", { tabIndex: -1, id: "passage", dir: "auto" });
  const passageText = h("div", { dir: "auto" });
  const passageLink = h("div", { class: "foot" });
  const passage = h("dialog", { "aria-labelledby": "passage" },
    h("div", { class: "top" }, passageTitle, button_("icon", t("back"), [icon("close")], () => closeSheet())), h("div", { class: "page", tabIndex: 0 }, passageText), passageLink);

  const main = h("div", { class: "main" }, log, jump);
  const rest = [header, banner, main, notice, tray, count, form];
  const panel = h("section", { class: "panel", role: "dialog", "aria-labelledby": "title", hidden: true }, ...rest, over, passage, live);
  const skin = h("div", { class: "fd", lang: language }, panel);
  root.prepend(skin);

  const dark = matchMedia("(prefers-color-scheme: dark)");
  const dress = () => {
    const accent = paint(setting("color"));
    const theme = ["light", "dark"].includes(data.theme) ? data.theme : dark.matches ? "dark" : "light";
    skin.dataset.theme = theme;
    skin.style.setProperty("--accent-text", readable(accent, theme, contrast));
    render(greeting, setting("greeting") || t("greeting"));
    const list = setting("suggestions") || [];
    const asked = (Array.isArray(list) ? list : list.split("|")).map((text) => clean(text).trim()).filter(Boolean);
    suggestions.replaceChildren(...asked.map((text) => choice(text, () => say(text))));
    limit = config.message_chars || LIMIT;
    present();
  };
  dark.addEventListener("change", dress);

  const rows = new Rows({
    t, list, language, choice,
    name: () => name(),
    blob: (id) => connection.blob(id),
    act: (frame) => connection.send(frame),
    cite: openSheet,
    retry: (message) => connection.retry(message),
    edit: (message) => {
      connection.forget(message.id);
      rows.remove(message.id);
      input.value = message.text;
      chosen = message.attachments;
      drawTray();
      input.focus();
    },
    changed: (row) => arrange(row),
  });

  const connection = new Connection({
    base,
    prefix,
    identity: async () => {
      const source = window.FrontdeskIdentity ?? data.identity;
      return typeof source === "function" ? source() : source;
    },
    listener: {
      state: (state, detail) => {
        clearTimeout(banner.timer);
        if (state === "online") banner.hidden = true;
        if (state === "waiting") banner.timer = setTimeout(() => tell(banner, t("offline"), text_(t("now"), () => connection.again())), banner.hidden ? 800 : 0);
        if (state === "refused") tell(banner, clean(detail) || t("refused"));
        bones.hidden = !(state === "connecting" && connection.used && !list.firstChild);
        present();
      },
      reset: () => {
        rows.clear();
        read = 0;
        shownFrom = undefined;
        survey.hidden = queue.hidden = true;
        arrange();
      },
      pending: (message) => rows.pending(message),
      frame: (frame) => frames[frame.type]?.(frame),
    },
  });

  const frames = {
    welcome(frame) {
      rows.dropDrafts();
      writing(false);
      bones.hidden = true;
      caseOpen = !!frame.case;
      read = Math.max(read, connection.store.get("read") || 0);
      shownFrom ??= +connection.store.get("from") || 0;
      if (frame.has_earlier) older.hidden = false;
      queue.hidden = true;
      own(frame.owner?.owner || frame.owner, frame.name || frame.owner?.name);
      const first = !rows.last();
      for (const message of frame.history || []) rows.show(message, first || message.author === "user" ? null : announce);
      if (first) scroll();
    },
    ack({ id, message, seq }) {
      rows.acknowledge(id, message, seq);
      caseOpen = true;
      if (owner === "agent") writing(true);
    },
    typing: () => writing(true),
    delta(frame) {
      writing(false);
      rows.delta(frame);
    },
    message(frame) {
      if (frame.author !== "user") writing(false);
      rows.show(frame, frame.author === "user" ? null : announce);
    },
    withdraw: ({ message }) => rows.withdraw(message),
    owner: (frame) => {
      own(frame.owner, frame.name);
      announce(role.textContent);
    },
    queue({ position, wait_s }) {
      const wait = wait_s ? " " + t("wait", { minutes: Math.ceil(wait_s / 60) }) : "";
      queue.textContent = t("place", { position }) + wait;
      queue.hidden = false;
      announce(queue.textContent);
      follow();
    },
    passage: (frame) => fillSheet(frame),
    case(frame) {
      if (frame.state !== "ended") return;
      caseOpen = false;
      writing(false);
      ask(frame.id);
    },
    error({ code, detail, id }) {
      if (code === "no_passage") fillSheet({ text: detail || t("gone") });
      else if (!connection.pending.has(id) && !/^bad_(token|identity|version)$/.test(code)) say_(detail);
    },
  };

  function tell(bar, text, ...more) {
    bar.replaceChildren(h("span", {}, text), ...more);
    bar.hidden = false;
  }

  function say_(text) {
    tell(notice, clean(text), button_("icon", t("back"), [icon("close")], () => (notice.hidden = true)));
  }

  function announce(text) {
    live.append(h("p", {}, text));
    if (live.childElementCount > 3) live.firstChild.remove();
  }

  function own(who, called) {
    owner = who || "agent";
    person = clean(called);
    if (owner !== "queue") queue.hidden = true;
    if (owner !== "agent") writing(false);
    present();
  }

  function present() {
    const shown = owner === "operator" ? person || t("person") : name();
    title.textContent = shown;
    face.textContent = [...shown.trim()][0]?.toUpperCase() || "";
    role.textContent = owner === "agent" ? t("assistant") : owner === "queue" ? t("waiting") : [t("person"), name()].join(" · ");
    role.classList.toggle("on", connection.state === "online");
    dots.firstChild.textContent = t("typing", { name: shown });
  }

  function writing(on) {
    clearTimeout(dots.timer);
    if (on) dots.timer = setTimeout(() => writing(false), 60000);
    dots.hidden = !on;
    if (on) follow();
  }

  /** After any change of the messages: what is hidden, what is unread, and where the view stands. */
  function arrange(row) {
    const rest = rows.arrange(shownFrom || 0);
    earlier.hidden = rest.hidden === 0;
    suggestions.hidden = rest.shown > 0;
    seen();
    follow(row);
  }

  function seen() {
    if (!panel.hidden && !document.hidden) {
      read = Math.max(read, rows.last());
      if (connection.used && read) connection.store?.set("read", read);
    }
    const unread = panel.hidden ? rows.unread(read) : 0;
    badge.hidden = !unread;
    badge.textContent = unread > 99 ? "99+" : unread;
    button.setAttribute("aria-label", panel.hidden ? [t("open"), unread && t("unread", { count: unread })].filter(Boolean).join(", ") : t("close"));
  }

  // The view follows the newest text, but never past the start of an answer that is being read.
  let stuck = true;
  log.onscroll = () => {
    stuck = log.scrollHeight - log.scrollTop - log.clientHeight < 48;
    if (stuck) jump.hidden = true;
  };
  function follow(row) {
    if (!stuck) return void (jump.hidden = !row || log.scrollHeight - log.scrollTop - log.clientHeight < 48);
    const from = row && row.author !== "user" ? row.el.offsetTop - 12 : Infinity;
    log.scrollTop = Math.min(log.scrollHeight, from);
  }
  function scroll() {
    log.scrollTop = log.scrollHeight;
    stuck = true;
    jump.hidden = true;
  }

  // Saying
  function say(text, files = []) {
    if (starting && !survey.hidden) clearView();
    survey.hidden = notice.hidden = true;
    stuck = true;
    rows.pending(connection.say(text, files));
    scroll();
  }

  form.onsubmit = (event) => {
    event.preventDefault();
    const text = input.value.trim();
    if (go.disabled || !(text || chosen.length)) return;
    const files = chosen.map(({ id, name, media_type, size_bytes }) => ({ id, name, media_type, size_bytes }));
    input.value = "";
    chosen = [];
    drawTray();
    say(text, files);
  };
  input.onkeydown = (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  };
  input.oninput = () => {
    drawComposer();
    if (Date.now() - typed < TYPING_MS) return;
    typed = Date.now();
    connection.send({ type: "typing" }, false);
  };

  function drawComposer() {
    input.style.height = "0";
    input.style.height = Math.max(36, input.scrollHeight) + "px";
    const size = input.value.length > limit * 0.9 ? [...input.value].length : 0;
    count.hidden = size < limit * 0.9;
    count.textContent = t(size > limit ? "over" : "left", { count: Math.abs(limit - size) });
    count.classList.toggle("bad", size > limit);
    go.disabled = !(input.value.trim() || chosen.length) || chosen.some((file) => !file.id);
  }

  // Files
  picker.onchange = () => {
    add([...picker.files]);
    picker.value = "";
  };
  input.onpaste = (event) => {
    if (!event.clipboardData.files.length) return;
    event.preventDefault();
    add([...event.clipboardData.files]);
  };
  panel.ondragover = (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    over.hidden = false;
  };
  panel.ondragleave = (event) => (over.hidden = !panel.contains(event.relatedTarget));
  panel.ondrop = (event) => {
    event.preventDefault();
    over.hidden = true;
    add([...event.dataTransfer.files]);
  };

  function add(files) {
    if (chosen.length + files.length > MOST_FILES) say_(t("files"));
    for (const file of files.slice(0, MOST_FILES - chosen.length)) {
      const entry = { name: file.name, media_type: file.type, size_bytes: file.size };
      chosen.push(entry);
      connection.upload(file).then(
        (stored) => {
          Object.assign(entry, stored);
          rows.keepBlob(stored.id, file);
          drawTray();
        },
        (fault) => {
          chosen = chosen.filter((other) => other !== entry);
          say_(fault.message && !(fault instanceof TypeError) ? fault.message : t("uploadFailed", { name: clean(file.name) }));
          drawTray();
        },
      );
    }
    drawTray();
  }

  function drawTray() {
    tray.replaceChildren(...chosen.map((entry) => {
      const node = entry.id ? rows.file(entry) : h("span", { class: "file" }, icon("clock"), t("uploading"));
      node.append(button_("off", t("remove", { name: clean(entry.name) }), [icon("close")], (event) => {
        event.preventDefault();
        chosen = chosen.filter((other) => other !== entry);
        drawTray();
        input.focus();
      }));
      return node;
    }));
    drawComposer();
  }

  // Ending
  function finish(again) {
    starting = again;
    connection.send({ type: "end" });
  }

  function ask(id) {
    const vote = (value) => () => {
      connection.send({ type: "feedback", case: id, value });
      survey.replaceChildren(h("b", {}, t("thanks")), h("div", {}, t("ended")));
      if (starting) clearView();
      input.focus();
    };
    survey.replaceChildren(h("b", {}, t("solved")), h("div", { class: "choices" }, choice(t("yes"), vote("up")), choice(t("no"), vote("down"))));
    survey.hidden = false;
    announce(t("solved"));
    follow();
  }

  function clearView() {
    starting = false;
    survey.hidden = true;
    shownFrom = rows.last();
    if (connection.used) connection.store?.set("from", shownFrom);
    arrange();
  }

  function download() {
    const url = URL.createObjectURL(new Blob([rows.transcript()], { type: "text/plain" }));
    h("a", { href: url, download: "chat.txt" }).click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  }

  // A cited passage
  let cited;
  function openSheet(citation, chip) {
    cited = { ...citation, chip };
    passageTitle.textContent = clean(citation.title);
    passageText.replaceChildren(...[1, 2, 3].map(() => h("div", { class: "bone" })));
    const url = safeUrl(citation.url);
    passageLink.replaceChildren(url ? link(url, t("page")) : "");
    passageLink.hidden = !url;
    passage.show();
    for (const part of rest) part.inert = true;
    passageTitle.focus();
    connection.send({ type: "passage", id: citation.id });
  }

  function fillSheet({ id, title, text }) {
    if (!cited || (id && id !== cited.id)) return;
    if (title) passageTitle.textContent = clean(title);
    render(passageText, text);
  }

  function closeSheet() {
    passage.close();
    for (const part of rest) part.inert = false;
    cited?.chip.focus();
    cited = null;
  }

  // Opening, closing, keys
  panel.onkeydown = (event) => {
    if (event.key === "Escape") {
      event.stopPropagation();
      if (passage.open) closeSheet();
      else if (menu.open) {
        menu.open = false;
        menu.firstChild.focus();
      } else close();
    }
    if (event.key !== "Tab" || (innerWidth > 480 && !passage.open)) return;
    const stops = [...panel.querySelectorAll("button,textarea,a,summary,[tabindex='0']")].filter((node) => !node.disabled && !node.closest("[inert]") && node.checkVisibility?.() !== false);
    const edge = event.shiftKey ? stops[0] : stops.at(-1);
    if (root.activeElement !== edge) return;
    event.preventDefault();
    (event.shiftKey ? stops.at(-1) : stops[0]).focus();
  };
  panel.onclick = (event) => {
    if (!menu.contains(event.target)) menu.open = false;
  };
  document.addEventListener("visibilitychange", seen);
  addEventListener("storage", ({ key, newValue }) => {
    if (key !== connection.store?.prefix + "read") return;
    read = Math.max(read, newValue);
    seen();
  });
  visualViewport?.addEventListener("resize", () => {
    panel.style.height = innerWidth <= 480 ? visualViewport.height + "px" : ""; // an open keyboard leaves the composer in sight
  });
  setInterval(() => panel.hidden || rows.age(), 30000);

  function open(quiet) {
    if (!panel.hidden) return;
    panel.hidden = false;
    panel.ariaModal = innerWidth <= 480 ? "true" : null;
    button.setAttribute("aria-expanded", "true");
    watch();
    if (!config.asked) {
      config = { asked: true };
      get("widget.json").then((file) => file.json()).then((found) => {
        config = { ...found, asked: true };
        dress();
      }, () => {});
    }
    arrange();
    scroll();
    if (!quiet) input.focus();
  }
  function close() {
    panel.hidden = true;
    button.setAttribute("aria-expanded", "false");
    seen();
    button.focus();
  }
  function watch() {
    if (connection.state === "idle") connection.connect();
  }
  dress();
  seen();
  return { open, close, watch, toggle: () => (panel.hidden ? open() : close()) };
}
