// The demo page: the script tag with this server's address, the copy button, and the button that opens the chat.
const tag = document.querySelector("#tag");
tag.textContent = `<script async src="${new URL("widget.js", location.href).href}"></script>`;

document.querySelector("[data-open-chat]").addEventListener("click", () => window.Frontdesk?.open());

document.querySelector("[data-copy]").addEventListener("click", async ({ target }) => {
  try {
    await navigator.clipboard.writeText(tag.textContent);
    target.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(tag); // without TLS there is no clipboard: the tag is selected instead
    target.textContent = "Selected";
  }
  setTimeout(() => (target.textContent = "Copy"), 2000);
});
