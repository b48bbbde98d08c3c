/* Load the data of a drawing: when the drawing becomes visible, and again when the run has changed. */

import { load, NotLoaded, textOf } from "../polling/load.js";

/**
 * Load a drawing's JSON as text. If that fails, show a message in the drawing's panel.
 *
 * @param {Element} panel - the panel; it has the text of the message.
 * @param {function(): string} address - returns the URL of the data that is needed now.
 * @returns {Promise<?string>} null if loading failed, or if other data is needed meanwhile.
 */
export async function loadDrawing(panel, address) {
    const asked = address();
    let text = null;
    try {
        text = await textOf(await load(asked));
    } catch (error) {
        if (!(error instanceof NotLoaded)) {
            throw error;
        }
    }
    if (asked !== address()) {
        return null;
    }
    tell(panel, text === null ? panel.dataset.failed : "");
    return text;
}

export function tell(panel, text) {
    panel.querySelector("[role=status]").textContent = text;
}
