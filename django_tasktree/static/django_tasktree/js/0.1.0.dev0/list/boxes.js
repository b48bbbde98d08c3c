/* The checkboxes that select rows for an action. The admin's own script uses the list of checkboxes with which it was
   started, so it gets an array that is kept up to date. */

const boxes = [];

function replaceBoxes(found) {
    boxes.splice(0, boxes.length, ...found);
}

/** Wrap the admin's script, which starts when the page is loaded. */
export function keepBoxes() {
    const start = window.Actions;
    if (start) {
        window.Actions = (found, options) => {
            replaceBoxes(found);
            start(boxes, options);
        };
    }
}

/** Update the list of checkboxes from the table. */
export function renewBoxes(table) {
    replaceBoxes(table.querySelectorAll("tr input.action-select"));
    for (const counter of document.querySelectorAll("[data-actions-icnt]")) {
        counter.dataset.actionsIcnt = boxes.length;
    }
}

export function showChoice() {
    const across = document.querySelector("div.actions input.select-across");
    if (across?.value === "1") {
        // All matching rows are selected, including new ones.
        for (const box of boxes) {
            box.checked = true;
            box.closest("tr").classList.add("selected");
        }
    } else {
        // This makes the admin's script count the selected rows again.
        window.dispatchEvent(new Event("pageshow"));
    }
}
