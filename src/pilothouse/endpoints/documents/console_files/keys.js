// What the keys of a keyboard and pastes are for a program in a terminal.

const KEYS = {
  Enter: "\r", Backspace: "\x7f", Tab: "\t", Escape: "\x1b", Delete: "\x1b[3~", Home: "\x1b[H", End: "\x1b[F",
  ArrowUp: "\x1b[A", ArrowDown: "\x1b[B", ArrowRight: "\x1b[C", ArrowLeft: "\x1b[D", PageUp: "\x1b[5~", PageDown: "\x1b[6~",
};
const PASTE = "v";

// What a key is for the program; "" for keys that are the browser's, and those that write text. Shift+Tab leaves the terminal.
function meaning(event) {
  const { key, shiftKey, ctrlKey, altKey, metaKey } = event;
  if (metaKey || event.isComposing || (key === "Tab" && shiftKey)) return "";
  if (ctrlKey && !altKey) {
    const control = !shiftKey && key !== PASTE && /^[a-z@[\\\]^_ ]$/.test(key);
    return control ? String.fromCharCode(key.toUpperCase().charCodeAt(0) & 0x1f) : "";
  }
  if (altKey && !ctrlKey) return /^[ -~]$/.test(key) ? `\x1b${key}` : "";
  return (!ctrlKey && KEYS[key]) || "";
}

// A text that is pasted: no control character of it reaches the program but Tab and Enter.
function pasted(text, brackets) {
  const typed = text.replace(/\r?\n/g, "\r").replace(/[\x00-\x08\x0a-\x0c\x0e-\x1f\x7f-\x9f]/g, "");
  return brackets ? `\x1b[200~${typed}\x1b[201~` : typed;
}

export function isText({ key, ctrlKey, altKey, metaKey }) {
  return key.length === 1 && !ctrlKey && !altKey && !metaKey;
}

// Sends what is typed into an input and pasted there; brackets(): whether the program asks for pastes to be marked.
export function listen(input, send, brackets) {
  const take = (text) => {
    send(text);
    input.value = "";
  };
  input.addEventListener("keydown", (event) => {
    const text = meaning(event);
    if (!text) return;
    event.preventDefault();
    send(text);
  });
  input.addEventListener("input", (event) => event.isComposing || take(input.value.replaceAll("\n", "\r")));
  input.addEventListener("compositionend", () => take(input.value));
  input.addEventListener("paste", (event) => {
    event.preventDefault();
    send(pasted(event.clipboardData.getData("text/plain"), brackets()));
  });
}
