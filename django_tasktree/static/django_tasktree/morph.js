/* Make a part of the page like another one by changing only what differs: what is being pressed, selected or read
   stays where it is. Children with data-key are the same as those with the same key, others as those in their place. */
"use strict";

(function () {
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
        // The browser itself counts what goes on.
        if (!fresh.dataset.tasktreeSince) {
            updateChildren(old, fresh);
        }
    }

    function updateChildren(old, fresh) {
        const keyed = new Map();
        for (const child of old.childNodes) {
            if (keyOf(child) !== undefined) {
                keyed.set(keyOf(child), child);
            }
        }
        const children = Array.from(fresh.childNodes);
        const wanted = new Set(children.map(keyOf));
        let place = old.firstChild;
        for (const child of children) {
            // What is gone goes first: to move what follows would take the focus from it.
            while (place && keyOf(place) !== undefined && !wanted.has(keyOf(place))) {
                const next = place.nextSibling;
                place.remove();
                place = next;
            }
            const key = keyOf(child);
            const same = key === undefined ? place : keyed.get(key);
            if (same && isAlike(same, child)) {
                update(same, child);
                if (same === place) {
                    place = place.nextSibling;
                } else {
                    old.insertBefore(same, place);
                }
            } else {
                old.insertBefore(child, place);
            }
        }
        while (place) {
            const next = place.nextSibling;
            place.remove();
            place = next;
        }
    }

    /**
     * @param {Element} element is changed.
     * @param {string|Element} fresh is HTML of its new content, or an element with it, which is used up.
     */
    window.tasktreeMorph = function (element, fresh) {
        let content = fresh;
        if (typeof fresh === "string") {
            content = document.createElement("template");
            content.innerHTML = fresh;
            content = content.content;
        }
        updateChildren(element, content);
    };
})();
