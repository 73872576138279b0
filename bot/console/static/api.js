// Requests to our own server. Whatever goes wrong is a Refusal with a sentence for the operator.
const LIMIT_MS = 20_000;
const SENTENCES = {
	401: "You are signed out.",
	403: "You may not do this.",
	404: "This is not there any more.",
	413: "This is too large.",
	429: "That was too fast. Wait a moment and try again.",
};
let csrf = "";

export class Refusal extends Error {
	constructor(status, code, detail) {
		super(detail);
		Object.assign(this, { status, code, detail });
	}
}

const asked = async (path, request) => {
	let answer;
	try {
		answer = await fetch("/console/api/" + path, { credentials: "same-origin", cache: "no-store", signal: AbortSignal.timeout(LIMIT_MS), ...request });
	} catch {
		throw new Refusal(0, "offline", "The server cannot be reached. Nothing is lost here: try again in a moment.");
	}
	const body = await answer.json().catch(() => ({}));
	if (answer.ok) return body;
	const detail = body.detail || SENTENCES[answer.status] || "The server has a problem. Try again in a moment.";
	throw new Refusal(answer.status, body.code || "", detail);
};

export const get = (path, query = {}) => {
	const words = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== "" && value !== undefined));
	return asked(words.size ? `${path}?${words}` : path);
};
export const post = (path, body, limit_ms = LIMIT_MS) =>
	asked(path, { method: "POST", headers: { "Content-Type": "application/json", "X-CSRF": csrf }, body: JSON.stringify(body), signal: AbortSignal.timeout(limit_ms) });
// The file itself; what is said of it travels in headers.
export const put = (path, file, headers = {}) =>
	asked(path, { method: "POST", headers: { "Content-Type": file.type || "application/octet-stream", "X-Name": encodeURIComponent(file.name), "X-CSRF": csrf, ...headers }, body: file, signal: AbortSignal.timeout(300_000) });
export const upload = (file) => put("upload", file);
export const use = (token) => {
	csrf = token;
};
