// What an operator can do with a conversation: one list behind the buttons, the keys and the palette.
import { post } from "./api.js";
import { ask, sheet } from "./dialogs.js";
import { h, tell, uuid } from "./dom.js";
import { AWAITING, happened, HELD, isEnded, isMe, isMine, isWindowShut, may, named, state } from "./state.js";
import { oneLine, plain, visible } from "./text.js";
import { channel } from "./words.js";

const SNOOZES = [["30m", "30 minutes"], ["1h", "1 hour"], ["2h", "2 hours"], ["4h", "4 hours"], ["1d", "1 day"], ["3d", "3 days"]];
const option = ([value, label]) => ({ value, label });

const people = () => [
	...state.me.operators
		.filter((each) => !isMe(each.id))
		.map((each) => ({ value: `@${each.name}`, label: each.name, hint: `${each.presence}, has ${each.load} of ${each.capacity}` })),
	...state.me.teams.map((team) => ({ value: team, label: team, hint: "team" })),
];

const isHeld = (row) => HELD.has(row.stage);
const isOpen = (row) => isHeld(row) || AWAITING.has(row.stage);
const isTaken = (row) => isHeld(row) && row.operator && !isMine(row);
const isOver = (row) => isEnded(row) || row.stage === "wrap-up";
const always = () => true;

// `when`: whether it makes sense now. `ask`: what is asked for before it is done. `key`: on the keyboard. `isShown`: has a button.
export const COMMANDS = [
	{ name: "take", label: "Take", key: "t", right: "take", isShown: true, when: (row) => !isTaken(row) && !(isHeld(row) && isMine(row) && row.stage !== "snoozed") && !isOver(row) },
	{ name: "decline", label: "Decline the offer", right: "take", isShown: true, when: (row) => isMe(row.offered_to) },
	{ name: "resolve", label: "Resolve", key: "e", right: "take", isShown: true, when: isOpen, ask: () => ({ about: "The user is told that the case is closed.", label: "Summary for the next case (may stay empty)", isLong: true, isOptional: true, submit: "Resolve" }) },
	{ name: "return", label: "Return to the agent", key: "b", right: "take", isShown: true, when: isOpen, ask: () => ({ about: "The agent goes on. The user does not see the instruction.", label: "Instruction to the agent (may stay empty)", isLong: true, isOptional: true, submit: "Return" }) },
	{ name: "snooze", label: "Snooze", key: "s", right: "take", isShown: true, when: (row) => isHeld(row) && isMine(row), ask: () => ({ options: SNOOZES.map(option), label: "Or until", placeholder: "14:30 or 2026-12-24", submit: "Snooze" }) },
	{ name: "wake", label: "Wake", right: "take", isShown: true, when: (row) => row.stage === "snoozed" && isMine(row) },
	{ name: "transfer", label: "Transfer", key: "x", right: "transfer", isShown: true, when: isOpen, ask: () => ({ about: people().length ? "It is offered to them; you are told when they take it." : "Nobody else is there.", options: people() }) },
	{ name: "done", label: "Done", right: "take", isShown: true, when: (row) => row.stage === "wrap-up" && isMine(row) },
	{ name: "reopen", label: "Reopen", right: "take", isShown: true, when: isOver },
	{ name: "release", label: "Release to the queue", right: "take", when: (row) => isHeld(row) && isMine(row) },
	{ name: "suggest", label: "Suggest a reply", key: "g", right: "reply", when: (row) => !isOver(row) },
	{ name: "summarise", label: "Summarise", right: "see", when: always },
	{ name: "priority", label: "Priority", key: "p", right: "take", when: isOpen, ask: () => ({ options: [["urgent", "Urgent"], ["high", "High"], ["normal", "Normal"], ["low", "Low"]].map(option) }) },
	{ name: "tag", label: "Add a tag", right: "note", when: always, ask: () => ({ label: "Tag" }) },
	{ name: "untag", label: "Remove a tag", right: "note", when: (row) => row.tags?.length > 0, ask: (row) => ({ options: row.tags.map((tag) => ({ value: tag, label: tag })) }) },
	{ name: "whisper", label: "Whisper to the agent", right: "reply", when: (row) => !isOpen(row), ask: () => ({ about: "The agent reads it with its next answer; the user does not.", label: "Instruction", isLong: true, submit: "Whisper" }) },
	{ name: "template", label: "Send a WhatsApp template", right: "reply", when: (row) => isWindowShut({ row }), ask: () => ({ about: "A template tells the user that a message waits; your text follows as soon as they answer.", label: "Text", isLong: true, submit: "Send the template" }) },
	{ name: "watch", label: "Watch", right: "see", when: (row) => !isWatching(row) },
	{ name: "unwatch", label: "Watch no more", right: "see", when: isWatching },
	{ name: "block", label: "Block the user", right: "block", when: (row) => !row.is_blocked, ask: (row) => ({ about: `Nothing from ${oneLine(named(row), 80)} is read or answered any more.`, label: "Reason (may stay empty)", isOptional: true, submit: "Block" }) },
	{ name: "unblock", label: "Unblock the user", right: "block", when: (row) => row.is_blocked },
];

function isWatching() {
	return (state.open?.context?.watchers ?? []).some((each) => isMe(each?.id ?? each));
}

export const possible = (row) => COMMANDS.filter((each) => may(each.right) && each.when(row));
export const canWrite = () => may("reply") || may("note");

// Asks for what is missing, then does it.
export const perform = async (command, argument = "") => {
	const open = state.open;
	if (!open?.row || !possible(open.row).includes(command)) return;
	let text = argument;
	if (command.ask && !text) {
		const answer = await ask({ title: `${command.label}: ${oneLine(named(open.row), 60)}`, submit: command.label, ...command.ask(open.row) });
		if (answer === null) return;
		text = answer;
	}
	await carryOut(open.id, `!${command.name} ${text}`.trim(), {});
};

// Sends one line. True where it was done; otherwise the operator has been told why not.
export const carryOut = async (conversation, line, { key = uuid(), ...fields }) => {
	try {
		const told = await post("command", { conversation, line, key, ...fields });
		if (!told.suggestion) show(told);
		happened("told", { conversation, told });
		return true;
	} catch (refusal) {
		if (refusal.status === 401) happened("out");
		else happened("refused", { conversation, detail: refusal.detail ?? "That did not work. Try again." });
		return false;
	}
};

// A long answer is something to read, not to glance at.
const show = ({ text, warning }) => {
	if (text.length > 200 || text.includes("\n")) sheet("Answer", plain(text), warning && h("p", { class: "problem" }, visible(warning)));
	else tell([text, warning].filter(Boolean).join(" "), warning ? "warned" : "");
};

// What can be sent by a name on this channel, with its variables filled.
export const canned = (row) =>
	state.me.canned
		.filter((each) => !each.channels?.length || each.channels.includes(row.channel))
		.map((each) => ({ name: each.name, text: filled(each.text, row) }));

const filled = (text, row) => {
	const values = { user: row.user?.name ?? "", operator: spelled(state.me.operator.name), case: (row.case ?? "").slice(0, 8) };
	return text.replace(/\{(user|operator|case)\}/g, (_, name) => values[name]);
};

// An operator's name as users see it: `ben.miller` is Ben Miller.
const spelled = (name) =>
	name
		.split(/[._-]/)
		.filter(Boolean)
		.map((part) => part[0].toUpperCase() + part.slice(1))
		.join(" ");

export const recipient = (row) => `${oneLine(named(row), 60)} on ${channel(row.channel)}`;
