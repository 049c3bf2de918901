// The form of an action: it asks the server for one thing, and shows what was refused.

import { Refusal } from "./api.js";
import { h, refused } from "./dom.js";

// act(): sends the request; a promise of what to announce. ready(): whether it can be sent, which is asked at every input.
// tone: a class of the button.
export function doing({ label, tone = "", act, done, context, ready = () => true }, ...children) {
  const place = h("div");
  const button = h("button", { class: `primary ${tone}`, disabled: !ready() }, label);
  const check = () => (button.disabled = !ready());
  const submit = async (event) => {
    event.preventDefault();
    button.disabled = true;
    place.replaceChildren();
    try {
      context.announce(await act());
      done();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      place.replaceChildren(refused(error));
      check();
    }
  };
  return h("form", { onsubmit: submit, oninput: check }, children, place, h("p", {}, button));
}
