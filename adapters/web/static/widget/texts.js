// Every word of the widget, in English; another language is a file of the same keys beside this one, named in LANGUAGES. A host page
// replaces any of them through `window.FrontdeskTexts`: {key: text} or {language: {key: text}}.

const LANGUAGES = ["de"];

const en = {
  open: "Open chat",
  close: "Close chat",
  unread: "{count} unread",
  name: "Support",
  assistant: "Assistant",
  person: "Person",
  you: "You",
  waiting: "Waiting for a person",
  menu: "Menu",
  fresh: "New conversation",
  human: "Talk to a person",
  known: "What do you know about me?",
  download: "Download transcript",
  end: "End conversation",
  humanText: "I would like to talk to a person.",
  greeting: "Hello! I am an assistant. Ask me anything, and I can bring in a person.",
  messages: "Messages",
  write: "Write a message",
  send: "Send",
  attach: "Add files",
  remove: "Remove {name}",
  files: "You can add up to 5 files.",
  drop: "Drop files here",
  uploading: "Uploading",
  uploadFailed: "{name} could not be added. Try again, or use an image or a PDF.",
  left: "{count} characters left",
  over: "{count} characters too many",
  sending: "Sending",
  sent: "Sent",
  failed: "Not sent",
  retry: "Try again",
  edit: "Edit",
  tooLong: "This message is too long. Shorten it and send it again.",
  typing: "{name} is writing",
  place: "You are number {position} in line.",
  wait: "About {minutes} min.",
  offline: "No connection. What you write is kept and sent once it is back.",
  now: "Connect now",
  refused: "The chat cannot start here. Reload the page to try again.",
  solved: "Did this solve your problem?",
  yes: "Yes",
  no: "No",
  ended: "This conversation has ended. Write to start another.",
  thanks: "Thank you.",
  up: "Helpful",
  down: "Not helpful",
  sources: "Sources",
  source: "Source {number}: {title}",
  page: "Open the page",
  back: "Close",
  loading: "Loading",
  gone: "This passage no longer exists.",
  older: "Older messages are not shown here.",
  earlier: "Show earlier messages",
  jump: "Newest messages",
  withdrawn: "The assistant took this answer back.",
  moment: "just now",
};

/** A function from key and values to text, in `language` where there is a file of it. */
export async function load(base, language) {
  const found = LANGUAGES.includes(language) && (await fetch(`${base}widget/${language}.json`).then((file) => file.json(), () => null));
  const own = window.FrontdeskTexts || {};
  const all = { ...en, ...found, ...own, ...own[language] };
  return (key, values = {}) => all[key].replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}
