/* Functions that all drawings share: SVG elements, and the names of states. */

export function make(name, attributes = {}, text = undefined) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) {
        element.setAttribute(key, value);
    }
    if (text !== undefined) {
        element.textContent = text;
    }
    return element;
}

/** Return the translated name of a state, from the attributes of the panel. */
export const stateLabel = (panel, state) => panel.getAttribute(`data-state-${state}`) || state;

export const short = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
