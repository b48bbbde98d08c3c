/* Update a part of the page by changing only what differs, so that focus, selection and pressed buttons are kept.
   Children with data-key are matched by key, others by position. */

const keyOf = (node) => (node.nodeType === Node.ELEMENT_NODE ? node.dataset.key : undefined);

function isAlike(one, other) {
    return one.nodeType === other.nodeType && one.nodeName === other.nodeName && keyOf(one) === keyOf(other);
}

function copyAttributes(old, fresh) {
    for (const { name } of Array.from(old.attributes)) {
        if (!fresh.hasAttribute(name)) {
            old.removeAttribute(name);
        }
    }
    for (const { name, value } of fresh.attributes) {
        if (old.getAttribute(name) !== value) {
            old.setAttribute(name, value);
        }
    }
}

function update(old, fresh) {
    if (old.nodeType !== Node.ELEMENT_NODE) {
        if (old.data !== fresh.data) {
            old.data = fresh.data;
        }
        return;
    }
    const open = old.nodeName === "DETAILS" && old.open;
    copyAttributes(old, fresh);
    if (open) {
        old.open = true;
    }
    // The browser itself updates elements with a running duration.
    if (!fresh.dataset.tasktreeSince) {
        updateChildren(old, fresh);
    }
}

function keyedChildren(parent) {
    const children = Array.from(parent.childNodes);
    return new Map(children.filter((child) => keyOf(child) !== undefined).map((child) => [keyOf(child), child]));
}

/** Remove consecutive nodes from `place` on while `isGone` is true, and return the first that stays. */
function removeWhile(place, isGone) {
    let next = place;
    while (next && isGone(next)) {
        const gone = next;
        next = gone.nextSibling;
        gone.remove();
    }
    return next;
}

/** Put a child, or the existing node `same` that matches it, before `place`; return the node after it. */
function put(parent, place, same, child) {
    if (!same || !isAlike(same, child)) {
        parent.insertBefore(child, place);
        return place;
    }
    update(same, child);
    if (same === place) {
        return place.nextSibling;
    }
    parent.insertBefore(same, place);
    return place;
}

function updateChildren(old, fresh) {
    const keyed = keyedChildren(old);
    const children = Array.from(fresh.childNodes);
    const wanted = new Set(children.map(keyOf));
    const isGone = (node) => keyOf(node) !== undefined && !wanted.has(keyOf(node));
    let place = old.firstChild;
    for (const child of children) {
        // Remove old nodes first: moving the nodes after them would take away the focus.
        place = removeWhile(place, isGone);
        const key = keyOf(child);
        place = put(old, place, key === undefined ? place : keyed.get(key), child);
    }
    removeWhile(place, () => true);
}

/**
 * Update the content of an element.
 *
 * @param {Element} element - the element to change.
 * @param {string|Element} fresh - the new content as HTML, or an element with it, which is consumed.
 */
export function morph(element, fresh) {
    let content = fresh;
    if (typeof fresh === "string") {
        content = document.createElement("template");
        content.innerHTML = fresh;
        content = content.content;
    }
    updateChildren(element, content);
}
