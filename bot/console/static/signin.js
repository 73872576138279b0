// Signing in, and accepting an invitation.
import { get, post } from "./api.js";
import { button, h, icon } from "./dom.js";

const place = () => document.getElementById("app");

const field = (name, label, props = {}) => {
	const input = h("input", { id: name, name, required: true, ...props });
	return h("div", { class: "field" }, h("label", { for: name }, label), input);
};
const codeField = (label) => field("code", label, { inputmode: "numeric", autocomplete: "one-time-code", pattern: "[0-9 ]{6,8}", title: "Six digits" });

const card = (title, ...content) => {
	place().replaceChildren(h("main", { class: "door" }, h("div", { class: "card" }, h("p", { class: "brand" }, "Frontdesk"), h("h1", {}, title), ...content)));
	place().querySelector("input")?.focus();
};

// A form that sends once, says what was wrong, and keeps what was typed except secrets.
const form = (submit, fields, act) => {
	const problem = h("p", { class: "problem", role: "alert" });
	const go = h("button", { class: "main" }, submit);
	const node = h("form", {}, ...fields, problem, go);
	node.onsubmit = async (event) => {
		event.preventDefault();
		go.disabled = true;
		problem.textContent = "";
		try {
			await act(Object.fromEntries(new FormData(node)));
		} catch (refusal) {
			problem.textContent = refusal.detail ?? "That did not work. Try again.";
			const code = node.elements.namedItem("code");
			if (code) code.value = "";
			(code ?? node.querySelector("input")).focus();
		}
		go.disabled = false;
	};
	return node;
};

export const signIn = (notice, done) => {
	const act = async ({ name, password, code }) => {
		await post("sign-in", { name, password, code: code.replace(/\s/g, "") });
		await done();
	};
	const fields = [
		field("name", "Name", { autocomplete: "username", autocapitalize: "none", spellcheck: "false" }),
		field("password", "Password", { type: "password", autocomplete: "current-password" }),
		codeField("Code from your authenticator"),
	];
	card("Sign in", notice && h("p", { class: "notice" }, notice), form("Sign in", fields, act), h("p", { class: "aside" }, button("quiet", "I have an invitation", () => invitation("", done))));
};

export const invitation = (invite, done) => {
	const act = async ({ invite: code, password, again }) => {
		if (password !== again) throw { detail: "The two passwords differ." };
		const { otpauth, secret } = await post("accept-invite", { code: code.trim(), password });
		enrol(code.trim(), otpauth, secret, done);
	};
	const fields = [
		field("invite", "Invitation code", { value: invite, autocomplete: "off", spellcheck: "false" }),
		field("password", "New password", { type: "password", autocomplete: "new-password", minLength: 12 }),
		field("again", "The same again", { type: "password", autocomplete: "new-password" }),
	];
	card("Welcome", h("p", { class: "about" }, "Choose a password of at least 12 characters. A second factor follows."), form("Go on", fields, act), h("p", { class: "aside" }, button("quiet", "I have an account", () => signIn("", done))));
};

const enrol = (invite, otpauth, secret, done) => {
	const copied = h("span", { role: "status" });
	const copy = (text) => async () => {
		await navigator.clipboard?.writeText(text).then(
			() => (copied.textContent = "Copied."),
			() => (copied.textContent = "Select it and copy it."),
		);
	};
	const act = async ({ code }) => {
		await post("confirm", { code: invite, totp: code.replace(/\s/g, "") });
		history.replaceState(null, "", location.pathname); // the invitation is used up
		signIn("Your account is ready. Sign in with the next code that your authenticator shows.", done);
	};
	const spaced = secret.match(/.{1,4}/g)?.join(" ") ?? "";
	card(
		"Second factor",
		h("p", { class: "about" }, "Add Frontdesk to an authenticator app: open the link on the device that has it, or type the secret in there."),
		h("p", {}, h("a", { href: otpauth.startsWith("otpauth://") ? otpauth : "#", class: "wide" }, "Open in the authenticator")),
		h("p", { class: "secret" }, h("code", {}, spaced), button("", "Copy the secret", copy(secret)), button("", "Copy the link", copy(otpauth)), copied),
		form("Confirm", [codeField("Code that it shows now")], act),
	);
};

export const trouble = (refusal, again) =>
	card(refusal.status === 403 ? "Not for you" : "The console cannot start", h("p", { class: "about" }, icon("warn"), refusal.detail), button("main", "Try again", again));

export const whoAmI = () => get("me");
